"""What else a caller asks about a network: which devices it fits, and what bytes buy."""

from __future__ import annotations

from pydantic import Field, StrictInt

from api.schemas.fit import FitRequest
from api.schemas.solve import DeviceChoice, SolveRequest
from network.budget import MAX_BUDGET_BYTES, Budget
from network.devices.catalogue import MAX_DEVICES, catalogue, device_named, device_of
from network.devices.device import Device
from network.errors import RequestError
from solver.pareto import Axis


class DevicesRequest(SolveRequest):
    """Which devices a network fits. The time limit is that of the whole call."""

    devices: list[DeviceChoice] | None = Field(
        default=None,
        description="names of the catalogue, or devices of your own; where it is left out, the whole catalogue",
    )

    def chosen_devices(self) -> tuple[Device, ...]:
        """The devices, each once.

        Raises:
            RequestError: an unknown name, a description that makes no sense, none, or too many.
        """
        if self.devices is None:
            return tuple(catalogue().values())
        if not 1 <= len(self.devices) <= MAX_DEVICES:
            raise RequestError(f"devices has {len(self.devices)} entries; expected 1 to {MAX_DEVICES}")
        chosen = [device_named(each) if isinstance(each, str) else device_of(each) for each in self.devices]
        by_name = {device.name: device for device in chosen}
        if len(by_name) < len(chosen):
            raise RequestError("two devices have one name; names are unique")
        return tuple(chosen)


class ParetoRequest(FitRequest):
    """What bytes buy: the best summed sensitivity against flash, RAM or both. The time limit is the whole call's."""

    axis: str = Field(
        default=str(Axis.FLASH),
        description="the budget that is varied; both: a grid of points x points",
        json_schema_extra={"enum": list(Axis)},
    )
    points: StrictInt = Field(default=20, description="budgets along the axis, evenly spaced")

    def budget(self) -> Budget:
        """The budget; what is varied need not be given.

        Raises:
            RequestError: as for a fit, and an unknown axis.
        """
        axis = self.chosen_axis()
        missing: dict[str, int] = {}
        if self.device is None and self.flash is None and axis is not Axis.RAM:
            missing["flash"] = MAX_BUDGET_BYTES
        if self.device is None and self.ram is None and axis is not Axis.FLASH:
            missing["ram"] = MAX_BUDGET_BYTES
        return FitRequest.budget(self.model_copy(update=missing) if missing else self)

    def chosen_axis(self) -> Axis:
        """The axis.

        Raises:
            RequestError: an unknown one.
        """
        if self.axis not in list(Axis):
            raise RequestError(f"unknown axis {self.axis[:60]!r}; expected one of: {', '.join(Axis)}")
        return Axis(self.axis)
