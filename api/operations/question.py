"""Conversion of a request (text sizes, device names) to a solver's question (bytes, accounting, options)."""

from __future__ import annotations

from dataclasses import dataclass

from api.schemas.devices import DevicesRequest
from api.schemas.fit import FitRequest
from api.schemas.solve import SolveRequest
from network.budget import MAX_BUDGET_BYTES, Budget
from network.devices.core_speeds import SPEEDS
from network.devices.device import Device
from network.devices.latency import MAX_CYCLES, CoreSpeed
from network.errors import RequestError
from network.kernel_functions import Form
from network.memory.accounting import Accounting
from network.memory.books import accountings_for
from network.memory.deployed import DeployedAccounting
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.options import SolveOptions
from solver.question import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The part of a solver's question that a request determines, without network and sensitivity table.

    Attributes:
        budget: Bytes that the network may take.
        accounting: Rule book that counts bytes.
        alternatives: Rule books that are used instead where they buy bits, or are needed to fit.
        wide_layers: Names of the layers whose constants are counted as wide.
        options: How bits are chosen.
        device: Device of the request; None without one.
        speed: Speed of the device's core; None if it is unknown.
        max_cycles: Largest number of cycles of one inference; None: not limited.
    """

    budget: Budget
    accounting: Accounting
    options: SolveOptions
    device: Device | None = None
    speed: CoreSpeed | None = None
    max_cycles: int | None = None
    alternatives: tuple[Accounting, ...] = ()
    wide_layers: tuple[str, ...] = ()

    def question(self, network: Network, table: SensitivityTable | None) -> Question:
        """Return the solver's question for a network and its sensitivity table.

        Args:
            network: The network, with its layers in the order of its file.
            table: Sensitivity table that the objective is computed from; None without one.

        Raises:
            RequestError: If a layer whose constants are counted as wide does not exist.
        """
        layers = {layer.name for layer in network.layers}
        unknown = next((name for name in self.wide_layers if name not in layers), None)
        if unknown is not None:
            raise RequestError(
                f"wide_layers has {unknown[:60]!r}, which is not a layer of the network; expected the names that the "
                "report of a training gives"
            )
        return Question(
            network=network,
            budget=self.budget,
            accounting=self._counted(self.accounting),
            sensitivity=table,
            options=self.options,
            device=self.device,
            speed=self.speed,
            max_cycles=self.max_cycles,
            alternatives=tuple(map(self._counted, self.alternatives)),
        )

    def _counted(self, accounting: Accounting) -> Accounting:
        """Return a rule book that counts the constants of the wide layers with 32 bits; that of the paper has none."""
        if not self.wide_layers or not isinstance(accounting, DeployedAccounting):
            return accounting
        return accounting.with_forms(dict.fromkeys(self.wide_layers, Form.WIDE))


def terms_of(request: FitRequest) -> Terms:
    """Convert a request to the budget, byte accounting and options of a solver's question.

    Raises:
        RequestError: If a budget is missing, if the reserves leave nothing of a budget, or if a latency ceiling is
            given twice or cannot be converted to cycles.
    """
    device = request.device
    speed = request.core_speed or (None if device is None else SPEEDS.get(device.core))
    accounting, *alternatives = accountings_for(request.accounting, device, request.optimization)
    return Terms(
        budget=_budget(request),
        accounting=accounting,
        options=request.options,
        device=device,
        speed=speed,
        max_cycles=_max_cycles(request, speed),
        alternatives=tuple(alternatives),
        wide_layers=tuple(request.wide_layers),
    )


def terms_on(request: DevicesRequest, device: Device) -> Terms:
    """Convert a request and one of its devices to the budget, accounting and options of a solver's question.

    If the reserves use up a memory, a budget of 1 byte is left, which no network fits.
    """
    flash_bytes, ram_bytes = left_of(request, device.flash_bytes, device.ram_bytes)
    accounting, *alternatives = accountings_for(request.accounting, device, request.optimization)
    return Terms(
        budget=Budget(max(flash_bytes, 1), max(ram_bytes, 1)),
        accounting=accounting,
        options=request.options,
        device=device,
        speed=SPEEDS.get(device.core),
        alternatives=tuple(alternatives),
        wide_layers=tuple(request.wide_layers),
    )


def left_of(request: SolveRequest, flash_bytes: int, ram_bytes: int) -> tuple[int, int]:
    """Return the bytes of flash and of RAM, each 0 or more, that are left after a request's reserves are subtracted.

    Args:
        request: The request with the reserves.
        flash_bytes: Number of bytes of flash before the reserves are subtracted.
        ram_bytes: Number of bytes of RAM before the reserves are subtracted.
    """
    return max(flash_bytes - request.reserved_flash, 0), max(ram_bytes - request.reserved_ram, 0)


def _budget(request: FitRequest) -> Budget:
    """Return the budgets of flash and RAM in bytes: those of the request, else of the device, minus the reserves."""
    sizes: dict[str, int] = {}
    device = request.device
    varied = request.optional_budgets
    for what, given in (("flash", request.flash), ("ram", request.ram)):
        if given is not None:
            sizes[what] = given
        elif device is not None:
            sizes[what] = device.flash_bytes if what == "flash" else device.ram_bytes
        elif what in varied:
            sizes[what] = MAX_BUDGET_BYTES
        else:
            raise RequestError(f'the budget of {what} is missing; give {what} (such as "60kB"), or a device')
    left = left_of(request, sizes["flash"], sizes["ram"])
    for (what, size_bytes), remaining in zip(sizes.items(), left, strict=True):
        if remaining == 0:
            raise RequestError(
                f"reserved_{what} uses up all {size_bytes} bytes of {what}; reserve less, or give a larger budget"
            )
    return Budget(*left)


def _max_cycles(request: FitRequest, speed: CoreSpeed | None) -> int | None:
    if request.max_cycles is None and request.max_milliseconds is None:
        return None
    if request.max_cycles is not None and request.max_milliseconds is not None:
        raise RequestError("max_cycles and max_milliseconds both limit the latency; expected only one of them")
    if speed is None:
        raise RequestError(
            "a latency ceiling needs the speed of the core; choose a device whose core is one of "
            f"{', '.join(SPEEDS)}, or give core_speed"
        )
    if request.max_milliseconds is None:
        return request.max_cycles
    clock_hz = None if request.device is None else request.device.clock_hz
    if clock_hz is None:
        raise RequestError(
            "max_milliseconds needs the clock frequency of the device; choose a device that has one, or give max_cycles"
        )
    cycles = int(request.max_milliseconds * clock_hz / 1000)
    if not 1 <= cycles <= MAX_CYCLES:
        raise RequestError(
            f"max_milliseconds allows {cycles} cycles at the device's clock; expected a time of 1 to {MAX_CYCLES} "
            "cycles"
        )
    return cycles
