"""Lists of the service, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Generic, TypeVar

from pydantic import BaseModel

from api.client.connection import Call, Connection

Item = TypeVar("Item", bound=BaseModel)

PAGE_ITEMS: Final = 100
"""Largest number of items of one request."""


class _Page(BaseModel, Generic[Item]):
    """One page of a list.

    Attributes:
        items: Items of the page.
        next_cursor: Text by which the next page is requested; None after the last page.
    """

    items: list[Item]
    next_cursor: str | None = None


def items_of(
    connection: Connection, kind: type[Item], path: str, query: Mapping[str, str] | None = None
) -> Iterator[Item]:
    """Yield the items of a list of the service; each page is requested when the one before it has been used up.

    Args:
        connection: Connections to the service.
        kind: Class of an item.
        path: Path of the list.
        query: Query parameters that choose items; None without any.

    Raises:
        ClientError: If a page cannot be had.
    """
    cursor: str | None = None
    while True:
        asked = {**(query or {}), "limit": str(PAGE_ITEMS), **({} if cursor is None else {"cursor": cursor})}
        page = connection.ask(_Page[kind], Call(method="GET", path=path, query=asked))  # type: ignore[valid-type]  # a class at run time
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return
