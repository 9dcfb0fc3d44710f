"""The rule books by name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from network.devices.device import Device
from network.errors import RequestError
from network.memory.deployed import DeployedAccounting
from network.memory.paper import PaperAccounting
from network.memory.report import Accounting


class BookName(StrEnum):
    """Names of the rule books."""

    DEPLOYED = DeployedAccounting.name
    PAPER = PaperAccounting.name


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


def accounting_for(name: str, device: Device | None) -> Accounting:
    """The rule book of that name, by what the device's kernels can; the paper's book knows no device.

    Raises:
        RequestError: there is none.
    """
    book = accounting_named(name)
    if device is None or not isinstance(book, DeployedAccounting):
        return book
    return DeployedAccounting(book.kernels, device.in_place, reuses_input=device.reuses_input)
