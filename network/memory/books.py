"""The sets of byte accounting rules (`deployed` and `paper`), found by their names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from network.devices.device import Device
from network.errors import RequestError
from network.kernel_sizes.tables import Optimization, sizes_for
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


CHOSEN_OPTIMIZATIONS: Final = (Optimization.SPEED, Optimization.SIZE)
"""Optimization flags from which the solver chooses, the preferred one first."""


def accountings_for(name: str, device: Device | None, optimization: Optimization | None) -> tuple[Accounting, ...]:
    """Return the byte accounting rules from which the solver chooses, the preferred ones first.

    Args:
        name: Name of the accounting: "deployed" or "paper".
        device: Device whose core runs the code; None if no device was chosen.
        optimization: Optimization flag with which the code is compiled; None: the solver chooses one.

    Raises:
        RequestError: if no accounting has that name.
    """
    chosen_from = CHOSEN_OPTIMIZATIONS if optimization is None else (optimization,)
    preferred, *others = (accounting_for(name, device, each) for each in chosen_from)
    return (preferred, *(each for each in others if isinstance(each, DeployedAccounting)))


def optimization_of(accounting: Accounting) -> Optimization | None:
    """Return the optimization flag of the code that an accounting counts; None for one that counts no code."""
    return accounting.sizes.optimization if isinstance(accounting, DeployedAccounting) else None


def accounting_for(name: str, device: Device | None, optimization: Optimization = Optimization.SPEED) -> Accounting:
    """Return the byte accounting rules of the given name, with the code of a device's core and its kernels in place.

    The `paper` accounting ignores the device and the optimization.

    Args:
        name: Name of the accounting: "deployed" or "paper".
        device: Device whose core runs the code, and whose kernels may overwrite inputs; None if no device was chosen.
        optimization: Optimization flag with which the code is compiled.

    Raises:
        RequestError: if no accounting has that name.
    """
    book = accounting_named(name)
    if not isinstance(book, DeployedAccounting):
        return book
    if device is None:
        return book if optimization is Optimization.SPEED else DeployedAccounting(sizes_for(None, optimization))
    sizes = sizes_for(device.core, optimization)
    return DeployedAccounting(sizes, device.in_place, reuses_input=device.reuses_input)
