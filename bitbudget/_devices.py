"""The function `devices`: the catalogue of microcontrollers, and which of them a network fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack, overload

from api.cli.text.columns import plain
from api.cli.text.devices import catalogue_text, devices_text
from api.operations.devices import answer_devices
from api.schemas.devices import DeviceFit, DevicesAnswer, DevicesRequest
from api.schemas.keywords import DeviceLike, SolveOptionFields, request_of
from bitbudget._budgets import DatasetLike, table_for
from bitbudget._reading import name_of
from network.devices.catalogue import catalogue
from network.devices.device import Device
from network.errors import RequestError
from network.network import Network
from qat.progress import Report


class Catalogue(Mapping[str, Device]):
    """Built-in microcontrollers by name, sorted by the RAM that one program can use."""

    def __getitem__(self, name: str) -> Device:
        return catalogue()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(catalogue())

    def __len__(self) -> int:
        return len(catalogue())

    def __str__(self) -> str:
        return plain(catalogue_text(self.values()))

    def __repr__(self) -> str:
        return f"<Catalogue of {len(self)} devices>"


@dataclass(frozen=True, eq=False, repr=False)
class DevicesResult:
    """Result of fitting a network into several microcontrollers; `print` shows it as text.

    Attributes:
        answer: The answer, as the service sends it; `answer.model_dump_json()` is its JSON.
    """

    answer: DevicesAnswer

    @property
    def devices(self) -> Sequence[DeviceFit]:
        """Result for each microcontroller, in the order of the request, else of the catalogue."""
        return self.answer.devices

    @property
    def fitting(self) -> Sequence[str]:
        """Names of the microcontrollers that the network fits."""
        return [each.device.name for each in self.devices if each.fits]

    def __str__(self) -> str:
        return plain(devices_text(self.answer))

    def __repr__(self) -> str:
        name = self.answer.network.name
        return f"<DevicesResult of {name}: fits {len(self.fitting)} of {len(self.devices)} devices>"


@overload
def devices() -> Catalogue: ...
@overload
def devices(
    network: Network,
    *,
    among: Sequence[DeviceLike] | None = None,
    data: DatasetLike | None = None,
    progress: Report | None = None,
    **options: Unpack[SolveOptionFields],
) -> DevicesResult: ...
def devices(
    network: Network | None = None,
    *,
    among: Sequence[DeviceLike] | None = None,
    data: DatasetLike | None = None,
    progress: Report | None = None,
    **options: Unpack[SolveOptionFields],
) -> Catalogue | DevicesResult:
    """Fit a network into several microcontrollers; without a network, return the catalogue of microcontrollers.

    Args:
        network: The network, from `read` or `read_module`. None returns the catalogue.
        among: The devices to try: names in the catalogue, `Device`s or descriptions of custom ones. None tries the
            whole catalogue.
        data: Samples on whose training set sensitivities are measured. None estimates them from the weights.
        progress: Callback that receives the progress of the measurement.
        options: Further options, those of `SolveOptionFields`; `time_limit_seconds` is that of the whole call.

    Raises:
        RequestError: If a device is unknown, an option is invalid, or other arguments are given without a network.
        InvalidNetwork: If the network has no layer with weights, or no weights where samples are given.
        DatasetError: If the samples cannot be read or do not match the network.
    """
    if network is None:
        if among is not None or data is not None or options:
            raise RequestError("devices() has options, but no network; expected a network as the first argument")
        return Catalogue()
    name = name_of(network)
    request = request_of(DevicesRequest, {"devices": None if among is None else [*among], **options})
    return DevicesResult(answer_devices(network, name, request, table_for(request, network, data, progress)))
