"""From a request to a question: everything that a request says is put together once, before the network is read."""

from __future__ import annotations

from dataclasses import dataclass

from api.schemas.devices import DevicesRequest
from api.schemas.fit import FitRequest
from api.schemas.pareto import ParetoRequest
from api.schemas.solve import SolveRequest
from network.budget import MAX_BUDGET_BYTES, Budget
from network.devices.core_speeds import SPEEDS
from network.devices.device import Device
from network.devices.latency import MAX_CYCLES, CoreSpeed
from network.errors import RequestError
from network.memory.accounting import Accounting
from network.memory.books import accounting_for
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.options import SolveOptions
from solver.pareto import Axis
from solver.question import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """A question without its network and its table: what a request alone decides.

    Attributes:
        budget: Bytes that the network may take.
        accounting: The rule book that counts bytes.
        options: How bits are chosen.
        device: The device that was named, if any.
        speed: Speed of the core, if it is known.
        max_cycles: Largest number of cycles of one inference; None sets no ceiling.
    """

    budget: Budget
    accounting: Accounting
    options: SolveOptions
    device: Device | None = None
    speed: CoreSpeed | None = None
    max_cycles: int | None = None

    def question(self, network: Network, table: SensitivityTable | None) -> Question:
        """Put the network, and the table that its bits are judged by, to the terms."""
        return Question(
            network=network,
            budget=self.budget,
            accounting=self.accounting,
            sensitivity=table,
            options=self.options,
            device=self.device,
            speed=self.speed,
            max_cycles=self.max_cycles,
        )


def terms_of(request: FitRequest) -> Terms:
    """Return the terms of a request.

    Raises:
        RequestError: If a budget is missing, if the reserves leave nothing of it, or if a latency ceiling is given
            twice or cannot be converted to cycles.
    """
    device = request.device
    speed = request.core_speed or (None if device is None else SPEEDS.get(device.core))
    return Terms(
        budget=_budget(request),
        accounting=accounting_for(request.accounting, device),
        options=request.options,
        device=device,
        speed=speed,
        max_cycles=_max_cycles(request, speed),
    )


def terms_on(request: DevicesRequest, device: Device) -> Terms:
    """Return the terms of a request on one of its devices.

    If the reserves take all of a memory, 1 byte of it is left, which no network fits.
    """
    flash_bytes, ram_bytes = left_of(request, device.flash_bytes, device.ram_bytes)
    return Terms(
        budget=Budget(max(flash_bytes, 1), max(ram_bytes, 1)),
        accounting=accounting_for(request.accounting, device),
        options=request.options,
        device=device,
        speed=SPEEDS.get(device.core),
    )


def left_of(request: SolveRequest, flash_bytes: int, ram_bytes: int) -> tuple[int, int]:
    """Return the bytes of flash and RAM that the reserves leave; 0 if they take all of them."""
    return max(flash_bytes - request.reserved_flash, 0), max(ram_bytes - request.reserved_ram, 0)


def _budget(request: FitRequest) -> Budget:
    """What is given, else what one program can use of the device, less the reserves."""
    sizes: dict[str, int] = {}
    device = request.device
    varied = _varied(request)
    for what, given in (("flash", request.flash), ("ram", request.ram)):
        if given is not None:
            sizes[what] = given
        elif device is not None:
            sizes[what] = device.flash_bytes if what == "flash" else device.ram_bytes
        elif what in varied:
            sizes[what] = MAX_BUDGET_BYTES
        else:
            raise RequestError(
                f'there is no budget of {what}; give {what} (e.g. "60kB"), or a device whose memory may be used'
            )
    left = left_of(request, sizes["flash"], sizes["ram"])
    for (what, size_bytes), remaining in zip(sizes.items(), left, strict=True):
        if remaining == 0:
            raise RequestError(f"reserved_{what} takes all of the {size_bytes} bytes: nothing is left for the network")
    return Budget(*left)


def _varied(request: FitRequest) -> tuple[str, ...]:
    """The budgets that need not be given, because a Pareto front varies them."""
    if not isinstance(request, ParetoRequest):
        return ()
    return ("flash", "ram") if request.axis is Axis.BOTH else (request.axis,)


def _max_cycles(request: FitRequest, speed: CoreSpeed | None) -> int | None:
    if request.max_cycles is None and request.max_milliseconds is None:
        return None
    if request.max_cycles is not None and request.max_milliseconds is not None:
        raise RequestError("max_cycles and max_milliseconds are both given; expected one of them")
    if speed is None:
        raise RequestError(
            "a ceiling of latency needs the core's speed; name a device whose core is one of "
            f"{', '.join(SPEEDS)}, or give core_speed"
        )
    if request.max_milliseconds is None:
        return request.max_cycles
    clock_hz = None if request.device is None else request.device.clock_hz
    if clock_hz is None:
        raise RequestError("max_milliseconds needs a clock; name a device that has one, or give max_cycles")
    cycles = int(request.max_milliseconds * clock_hz / 1000)
    if not 1 <= cycles <= MAX_CYCLES:
        raise RequestError(f"max_milliseconds allows {cycles} cycles; expected 1 to {MAX_CYCLES}")
    return cycles
