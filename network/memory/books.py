"""The sets of byte accounting rules (`deployed` and `paper`), found by their names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from network.devices.device import Device
from network.errors import RequestError
from network.memory.accounting import Accounting
from network.memory.deployed import DeployedAccounting
from network.memory.paper import PaperAccounting


class BookName(StrEnum):
    """Names of the sets of byte accounting rules."""

    DEPLOYED = DeployedAccounting.name
    PAPER = PaperAccounting.name


ACCOUNTINGS: Final[Mapping[str, Accounting]] = {book.name: book for book in (DeployedAccounting(), PaperAccounting())}
"""Name of each accounting -> the accounting."""

DEFAULT_ACCOUNTING: Final = DeployedAccounting.name
"""Name of the accounting that is used if none is chosen."""


def accounting_named(name: str) -> Accounting:
    """Return the byte accounting rules that have the given name.

    Args:
        name: Name of the accounting: "deployed" or "paper".

    Raises:
        RequestError: if no accounting has that name.
    """
    try:
        return ACCOUNTINGS[name]
    except KeyError:
        raise RequestError(
            f"unknown byte accounting {name[:60]!r}; expected one of: {', '.join(ACCOUNTINGS)}"
        ) from None


def accounting_for(name: str, device: Device | None) -> Accounting:
    """Return the byte accounting rules of the given name, with the kernels of a device that overwrite their inputs.

    The `paper` accounting ignores the device.

    Args:
        name: Name of the accounting: "deployed" or "paper".
        device: Device whose kernels may overwrite inputs; None if no device was chosen.

    Raises:
        RequestError: if no accounting has that name.
    """
    book = accounting_named(name)
    if device is None or not isinstance(book, DeployedAccounting):
        return book
    return DeployedAccounting(book.kernels, device.in_place, reuses_input=device.reuses_input)
