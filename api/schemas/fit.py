"""What a caller asks for: bits under a budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from api.schemas.solve import DeviceChoice, Size, SolveRequest
from network.budget import Budget, parse_size_bytes
from network.devices.catalogue import device_named, device_of
from network.devices.core_speeds import SPEEDS
from network.devices.device import Device
from network.devices.latency import MAX_CYCLES, CoreSpeed, Latency, core_speed_of
from network.errors import RequestError
from network.memory.accounting import Accounting
from network.memory.books import accounting_for
from network.network import Network
from solver.exact.options import ExactOptions

MAX_MILLISECONDS: Final = 86_400_000


class FitRequest(SolveRequest):
    """A budget, and how to spend it."""

    device: DeviceChoice | None = Field(
        default=None, description="the device: a name of the catalogue (GET /v1/devices), or one of your own"
    )
    flash: Size | None = Field(
        default=None,
        description="flash that the network may take: bytes, or a number with kB, KiB, MB or MiB; where it is left "
        "out, what a program can use of the device's",
    )
    ram: Size | None = Field(default=None, description="RAM that the network may take, likewise")
    max_cycles: StrictInt | None = Field(
        default=None, description="the most cycles that one inference may take, as estimated; exact only"
    )
    max_milliseconds: StrictFloat | StrictInt | None = Field(
        default=None,
        description="the same as a time, at the device's clock; exact only",
    )
    core_speed: dict[str, Any] | None = Field(
        default=None, description="cycles by kernel and bits, where the core's own table is not to be taken"
    )
    shadow_prices: StrictBool = Field(
        default=False, description="also tell by how much the objective would fall with one more kB of each budget"
    )

    def chosen_device(self) -> Device | None:
        """The device that was named.

        Raises:
            RequestError: an unknown name, or a description that makes no sense.
        """
        if self.device is None:
            return None
        if isinstance(self.device, str):
            return device_named(self.device)
        return device_of(self.device)

    def device_name(self) -> str | None:
        """How the answer calls the device."""
        device = self.chosen_device()
        return None if device is None else device.name

    def book(self) -> Accounting:
        """The rule book, by what the device's kernels can.

        Raises:
            RequestError: an unknown one, or a device that makes no sense.
        """
        return accounting_for(self.accounting, self.chosen_device())

    def clock_hz(self) -> int | None:
        """The device's clock, where it is known."""
        device = self.chosen_device()
        return None if device is None else device.clock_hz

    def speed(self) -> CoreSpeed | None:
        """Cycles by kernel and bits: the given table, or that of the device's core; None where there is none.

        Raises:
            RequestError: a table that makes no sense.
        """
        if self.core_speed is not None:
            return core_speed_of(self.core_speed)
        device = self.chosen_device()
        return None if device is None else SPEEDS.get(device.core)

    def exact_options(self, network: Network | None = None) -> ExactOptions:
        """As for any solve, with the ceiling of latency.

        Raises:
            RequestError: also a ceiling that makes no sense, or that nothing can be held against.
        """
        return replace(super().exact_options(network), latency=self._latency())

    def _latency(self) -> Latency | None:
        if self.max_cycles is None and self.max_milliseconds is None:
            return None
        if self.max_cycles is not None and self.max_milliseconds is not None:
            raise RequestError("max_cycles and max_milliseconds are both given; expected one of them")
        speed = self.speed()
        if speed is None:
            raise RequestError(
                "a ceiling of latency needs the core's speed; name a device whose core is one of "
                f"{', '.join(SPEEDS)}, or give core_speed"
            )
        most_cycles = self.max_cycles
        if self.max_milliseconds is not None:
            clock_hz = self.clock_hz()
            if clock_hz is None:
                raise RequestError("max_milliseconds needs a clock; name a device that has one, or give max_cycles")
            if not 0 < self.max_milliseconds <= MAX_MILLISECONDS:
                raise RequestError(
                    f"max_milliseconds is {self.max_milliseconds}; expected more than 0 and up to {MAX_MILLISECONDS}"
                )
            most_cycles = int(self.max_milliseconds * clock_hz / 1000)
        if most_cycles is None or not 1 <= most_cycles <= MAX_CYCLES:
            raise RequestError(f"max_cycles is {most_cycles}; expected a whole number from 1 to {MAX_CYCLES}")
        return Latency(speed, most_cycles)

    def budget(self) -> Budget:
        """The budget in bytes: what is given, or else what can be used of the device, less the reserves.

        Raises:
            RequestError: a size that makes no sense or is missing, or a reserve that leaves nothing.
        """
        device = self.chosen_device()
        sizes: dict[str, int] = {}
        for what, given in (("flash", self.flash), ("ram", self.ram)):
            if given is not None:
                sizes[what] = parse_size_bytes(given, what)
            elif device is not None:
                sizes[what] = device.flash_bytes if what == "flash" else device.ram_bytes
            else:
                raise RequestError(
                    f'there is no budget of {what}; give {what} (e.g. "60kB"), or a device whose memory may be taken'
                )
        return self.budget_of(sizes["flash"], sizes["ram"])
