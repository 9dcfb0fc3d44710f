"""Keyword arguments of public Python functions and of the client, and their conversion to requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any, Literal, TypedDict, TypeVar

from api.schemas.solve import SolveRequest
from network.allocation import Bits, WeightScheme
from network.declared_input import DeclaredInput
from network.devices.device import Device
from network.devices.latency import CoreSpeed
from network.errors import RequestError
from network.kernel_sizes.tables import Optimization
from network.memory.books import BookName
from network.reading_options import ReadingOptions
from network.sensitivity.table import SensitivityTable
from qat.options.sensitivity import Measure
from qat.options.task import TaskKind
from solver.options import LayerOrder, Method

Size = int | str
"""Number of bytes, or a text with kB, KiB, MB or MiB."""

DeviceLike = Device | str | Mapping[str, Any]
"""A device, its name in the catalogue, or the description of a custom device (docs/devices.md)."""

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


TaskName = Literal[
    "classes", "two_classes", "labels", "regression", "images", "pixels", "anomaly", "float_outputs"
]  # fmt: skip
"""Name of a task, which docs/training.md explains."""


class SensitivityFields(TypedDict, total=False):
    """Keyword arguments that choose how sensitivities are measured: the fields of `SensitivityOptions`."""

    measure: Measure | Literal["fisher", "hessian", "measured"]
    task: TaskKind | TaskName | None
    scheme: WeightScheme | SchemeName | None
    samples: int
    seed: int
    probes: int


def request_of(kind: type[Request], fields: Mapping[str, Any]) -> Request:
    """Build a validated request from keyword arguments of a public function.

    Args:
        kind: Class of the request.
        fields: Name of each field of the request -> its value.

    Raises:
        RequestError: If a field is unknown or has an invalid value; names the field.
    """
    return kind(**{name: _plain(value) for name, value in fields.items()})


def reading_options_of(
    input_shape: Sequence[int] | Mapping[str, Sequence[int]],
    outputs: Sequence[str],
    input_mean: float | Sequence[float] | None,
    input_scale: float | Sequence[float] | None,
) -> ReadingOptions:
    """Return the options of reading a network file that the arguments of a public function give.

    Args:
        input_shape: Extents of the input without the batch or with 1 as the batch; a mapping from names to extents for
            several inputs; empty for those of the file.
        outputs: Names of the tensors of the file at which the network ends; empty for the outputs of the file.
        input_mean: Numbers to subtract from each sample; None subtracts nothing.
        input_scale: Numbers to multiply the difference with; None multiplies by 1.

    Raises:
        RequestError: If an argument is invalid.
    """
    if isinstance(outputs, str):
        raise RequestError(f"the argument outputs is the text {outputs[:80]!r}; expected a list of names of tensors")
    shapes = input_shape if isinstance(input_shape, Mapping) else {"": input_shape}
    try:
        extents = tuple((name, tuple(map(index, shape))) for name, shape in shapes.items() if shape != ())
    except TypeError:
        raise RequestError(
            f"the argument input_shape is {str(input_shape)[:80]}; expected whole numbers such as (1, 40, 98), or a "
            "mapping from names of inputs to such numbers"
        ) from None
    return ReadingOptions(extents, tuple(outputs), DeclaredInput.of(input_mean, input_scale))


def _plain(value: Any) -> Any:
    """Convert mappings and sequences to dicts and lists recursively, because pydantic's strict fields require these."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | range):
        return [_plain(each) for each in value]
    return value
