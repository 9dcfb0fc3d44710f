"""Conversion of keyword arguments of public functions to requests and sensitivity tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar

from api.operations.measures import MeasureChoice
from api.operations.train import require_weights, wait_without_spinning
from api.schemas.solve import SolveRequest
from bitbudget._reading import dataset_of
from network.allocation import Bits, WeightScheme
from network.devices.device import Device
from network.devices.latency import CoreSpeed
from network.kernel_sizes.tables import Optimization
from network.memory.books import BookName
from network.network import Network
from network.sensitivity.table import SensitivityTable
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset
from qat.progress import Report, silent
from solver.options import LayerOrder, Method

Size = int | str
"""Number of bytes, or a text with kB, KiB, MB or MiB."""

DeviceLike = Device | str | Mapping[str, Any]
"""A device, its name in the catalogue, or the description of a custom device (docs/devices.md)."""

DatasetLike = Dataset | str | os.PathLike[str]
"""A dataset, its path, or "digits" for the built-in one."""

SchemeName = Literal["PerLayerAsymPACT", "PerLayerAsymMinMax", "PerChannelsAsymMinMax", "PerChannelSymLSQ"]
"""Name of a quantization scheme of weights, which docs/quantization.md explains."""

Request = TypeVar("Request", bound=SolveRequest)


class SolveOptionFields(TypedDict, total=False):
    """Keyword arguments that choose how the bits of a network are found: the fields of `SolveRequest`."""

    method: Method | Literal["exact", "mixpl", "mixpc"]
    scheme: WeightScheme | SchemeName | None
    allowed_schemes: Sequence[WeightScheme | SchemeName] | None
    schedule: LayerOrder | Literal["best", "given"]
    allowed_weight_bits: Mapping[str, Sequence[Bits]]
    allowed_activation_bits: Mapping[str, Sequence[Bits]]
    backend: str
    time_limit_seconds: float
    accounting: BookName | Literal["deployed", "paper"]
    optimization: Optimization | Literal["O2", "Os", "O3"] | None
    sensitivity: SensitivityTable | Literal["weights", "fisher", "hessian", "measured"] | Mapping[str, Any] | None
    reserved_flash: Size
    reserved_ram: Size
    wide_layers: Sequence[str]


class BudgetOptions(SolveOptionFields, total=False):
    """Keyword arguments of functions that choose bits under one memory budget: the fields of `FitRequest`."""

    max_cycles: int | None
    max_milliseconds: float | None
    core_speed: CoreSpeed | Mapping[str, Any] | None
    shadow_prices: bool


def request_of(kind: type[Request], fields: Mapping[str, Any]) -> Request:
    """Build a validated request from keyword arguments of a public function.

    Args:
        kind: Class of the request.
        fields: Name of each field of the request -> its value.

    Raises:
        RequestError: If a field is unknown or has an invalid value; names the field.
    """
    return kind(**{name: _plain(value) for name, value in fields.items()})


def table_for(
    request: SolveRequest, network: Network, data: DatasetLike | None, progress: Report | None
) -> SensitivityTable | None:
    """Return the sensitivity table that a request minimizes: given, from the weights, or measured on samples.

    Args:
        request: The request, which names the measure or holds the table.
        network: The network, with its weights if the table comes from them.
        data: The samples; None if there are none.
        progress: Callback that receives the progress of the measurement; None for none.

    Raises:
        RequestError: If the measure needs samples and there are none.
        DatasetError: If samples cannot be read or do not match the network.
        InvalidNetwork: If samples are given and the network has no weights.
    """
    choice = MeasureChoice.of(request)
    if data is None or not choice.measures_samples:
        return choice.table_without_samples(network)
    dataset = dataset_of(data)
    check_dataset(dataset, network)
    require_weights(network.name, has_weights=network.has_weights)
    wait_without_spinning()
    return choice.table_with_samples(network, dataset, progress or silent)


def _plain(value: Any) -> Any:
    """Convert mappings and sequences to dicts and lists recursively, because pydantic's strict fields require these."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | range):
        return [_plain(each) for each in value]
    return value
