"""Pages of lists: each names its last item in a cursor, with which the next one begins.

The next page begins after this item, whatever was added or deleted in between: no item comes twice, and none that was
there all the time is left out. A cursor also names its list and the filters, and is checked: a wrong one is an error.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar

from fastapi import Query
from pydantic import Field, FiniteFloat, ValidationError

from api.schemas.received import Received
from network.errors import RequestError

MAX_ITEMS: Final = 1000
"""Largest number of items of a page."""

Limit = Annotated[int, Query(ge=1, le=MAX_ITEMS, description="largest number of items to return")]
"""Query parameter `limit` of a list."""

PageCursor = Annotated[
    str | None,
    Query(max_length=1024, description="next_cursor of the page before; without it, the first page is returned"),
]
"""Query parameter `cursor` of a list."""

_Item = TypeVar("_Item")
_Text = Annotated[str, Field(max_length=300, pattern=r"^[^\x00]*$")]
_Number = Annotated[int, Field(ge=0, le=2**53)]


class _Cursor(Received):
    """Content of a cursor.

    Attributes:
        of: Name of the list, with its filters.
        after: Values by which the list is sorted, of the last item.
    """

    of: str
    after: list[_Text | _Number | FiniteFloat]


def cursor_of(name: str, *after: str | float) -> str:
    """Return the cursor of a page.

    Args:
        name: Name of the list, with its filters.
        after: Values by which the list is sorted, of the last item of the page.
    """
    text = _Cursor(of=name, after=list(after)).model_dump_json().encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def position_of(name: str, cursor: str | None, *kinds: type) -> tuple[str | int | float, ...] | None:
    """Return the values of the last item of the page before; None for the first page.

    Args:
        name: Name of the list, with its filters.
        cursor: The cursor of the caller.
        kinds: Type of each value.

    Raises:
        RequestError: If the text is not a cursor of this list.
    """
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = _Cursor.model_validate_json(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValidationError, binascii.Error, UnicodeError):
        raise RequestError(
            f"the cursor {cursor[:40]!r} is not valid; expected the next_cursor of an earlier page, unchanged"
        ) from None
    if found.of != name or [type(value) for value in found.after] != list(kinds):
        raise RequestError(
            f"the cursor {cursor[:40]!r} belongs to another list or another filter; expected the next_cursor of a "
            "page of the same list with the same filter"
        )
    return tuple(found.after)


def page_of(
    name: str, items: Sequence[_Item], key: Callable[[_Item], str], limit: int, cursor: str | None
) -> tuple[list[_Item], str | None]:  # fmt: skip
    """Return a page of a list that is in memory, and the cursor of the next page.

    Args:
        name: Name of the list, with its filters.
        items: All items, in their order.
        key: Function that returns the name of an item, which no other item has.
        limit: Largest number of items.
        cursor: The cursor of the caller.

    Raises:
        RequestError: If the cursor is not one of this list, or its item does not exist.
    """
    position = position_of(name, cursor, str)
    start = 0
    if position is not None:
        places = [place for place, item in enumerate(items) if key(item) == position[0]]
        if not places:
            raise RequestError(
                f"the cursor {str(cursor)[:40]!r} names an item that does not exist; request the first page"
            )
        start = places[0] + 1
    page = list(items[start : start + limit])
    return page, cursor_of(name, key(page[-1])) if start + limit < len(items) else None
