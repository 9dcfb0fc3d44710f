"""The rule books by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.deployed_accounting import DeployedAccounting
from network.errors import RequestError
from network.memory import Accounting
from network.paper_accounting import PaperAccounting

ACCOUNTINGS: Final[Mapping[str, Accounting]] = {book.name: book for book in (DeployedAccounting(), PaperAccounting())}
DEFAULT_ACCOUNTING: Final = DeployedAccounting.name


def accounting_named(name: str) -> Accounting:
    """The rule book of that name.

    Raises:
        RequestError: there is none.
    """
    try:
        return ACCOUNTINGS[name]
    except KeyError:
        raise RequestError(f"unknown accounting {name[:60]!r}; expected one of: {', '.join(ACCOUNTINGS)}") from None
