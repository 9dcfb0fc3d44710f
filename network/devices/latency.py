"""How long a network takes on a core, estimated: cycles of every layer by its kernel and by the bits of what it reads.

    convolution, fully connected    multiply-accumulates / how many the kernel does in a cycle at these bits
    add, concat, pool, ...          elements read / how many the kernel reads in a cycle; a pool reads each window whole

each rounded up to whole cycles. `core_speeds.py` has tables of three cores, which count instructions; a table of one's
own measurements takes their place (`core_speed_of`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from network.allocation import BITS, Allocation, Bits
from network.errors import RequestError
from network.layers import Layer, Pool, WeightLayer
from network.memory.kernel_table import kernel_of
from network.names import is_name, shown
from network.network import Network

Key = tuple[str, Bits, Bits]
"""Kernel, activation bits (of what it reads), weight bits."""

WEIGHT_KERNELS: Final = ("convolution", "pointwise_convolution", "depthwise_convolution", "fully_connected")
OTHER_KINDS: Final = ("add", "activation", "concat", "max_pool", "average_pool", "pad")
MAX_CYCLES: Final = 2**53
"""Sums of cycles stay exact below it."""
SLOWEST: Final = 1e-6
"""A rate below this, a million cycles for one multiplication, is a slip."""


@dataclass(frozen=True, slots=True)
class CoreSpeed:
    """What a core's kernels do in a cycle.

    Attributes:
        core: the core's name.
        multiply_accumulates_per_cycle: (kernel, activation bits, weight bits) -> rate, above 0.
        elements_per_cycle: kind of a layer without weights -> elements read in a cycle, above 0.
        source: where the rates come from.
        measured: the entries that were measured as they stand; the others are derived from them, or counted by hand.
    """

    core: str
    multiply_accumulates_per_cycle: Mapping[Key, float]
    elements_per_cycle: Mapping[str, float]
    source: str
    measured: frozenset[Key] = field(default=frozenset())

    def is_estimate(self, kernel: str, activation_bits: Bits, weight_bits: Bits) -> bool:
        """Whether a kernel's rate was derived, not measured."""
        return (kernel, activation_bits, weight_bits) not in self.measured


@dataclass(frozen=True, slots=True)
class Latency:
    """A ceiling on the cycles of one inference.

    Raises:
        RequestError: `most_cycles` is no whole number from 1.
    """

    speed: CoreSpeed
    most_cycles: int

    def __post_init__(self) -> None:
        if isinstance(self.most_cycles, bool) or not isinstance(self.most_cycles, int):
            raise RequestError(f"the latency ceiling is {self.most_cycles!r}; expected a whole number of cycles")
        if not 1 <= self.most_cycles <= MAX_CYCLES:
            raise RequestError(f"the latency ceiling is {self.most_cycles} cycles; expected 1 to {MAX_CYCLES}")


def layer_cycles(network: Network, layer: Layer, input_bits: Bits, weight_bits: Bits | None, speed: CoreSpeed) -> int:
    """Cycles of one layer.

    Args:
        network: that the layer is of.
        layer: the layer.
        input_bits: of what it reads; without weights they do not matter.
        weight_bits: of its weights; None where it has none.
        speed: the core's.

    Raises:
        RequestError: the table has no rate for this kernel and these bits.
    """
    shapes = network.input_shapes(layer)
    kernel = kernel_of(layer, shapes[0])
    if isinstance(layer, WeightLayer):
        if weight_bits is None:
            raise ValueError(f"layer '{layer.name}' has weights and no bits")
        rate = speed.multiply_accumulates_per_cycle.get((kernel, input_bits, weight_bits))
        work = layer.multiply_accumulates(shapes)
        what = f"{kernel} with {input_bits}-bit activations and {weight_bits}-bit weights"
    else:
        rate = speed.elements_per_cycle.get(kernel)
        work = _elements_read(network, layer)
        what = kernel
    if rate is None:
        raise RequestError(
            f"the speeds of core '{shown(speed.core)}' have none of {what}, which layer '{layer.name}' needs; add it"
        )
    return math.ceil(work / rate)


def network_cycles(network: Network, allocation: Allocation, speed: CoreSpeed) -> int:
    """Cycles of one inference under an allocation.

    Raises:
        RequestError: the table lacks a rate.
    """
    bits = allocation.activation_bits
    return sum(
        layer_cycles(network, layer, bits[layer.inputs[0]], allocation.weight_bits.get(layer.name), speed)
        for layer in network.layers
    )


def core_speed_of(given: Any) -> CoreSpeed:
    """A table of one's own, from a decoded JSON document.

        {"core": "my-core", "source": "measured on the board",
         "multiply_accumulates_per_cycle": {"pointwise_convolution": {"8/8": 0.5, "8/4": 0.4}},
         "elements_per_cycle": {"add": 0.1}}

    "8/4" are activation bits and weight bits. What a network does not need may be left out.

    Raises:
        RequestError: of another form; a kernel, kind or pair of bits that there is not; a rate that makes no sense.
    """
    table = _object(given, "the table of speeds")
    keys = {"core", "source", "multiply_accumulates_per_cycle", "elements_per_cycle"}
    if table.keys() != keys:
        odd = next(iter(sorted(map(str, table.keys() ^ keys))))
        raise RequestError(
            f"the table of speeds has {', '.join(sorted(keys))}, no more and no less; see '{shown(odd)}'"
        )
    for key in ("core", "source"):
        if not is_name(table[key]):
            raise RequestError(f"the {key} of the table of speeds is no printable text")
    rates: dict[Key, float] = {}
    for kernel, row in _known(table["multiply_accumulates_per_cycle"], WEIGHT_KERNELS, "kernel").items():
        pairs = {f"{activation}/{weight}": (activation, weight) for activation in BITS for weight in BITS}
        for pair, rate in _known(row, pairs, f"pair of activation and weight bits of {kernel}").items():
            rates[kernel, *pairs[pair]] = _rate(rate, f"{kernel} at {pair} bits")
    elements = {
        kind: _rate(rate, kind) for kind, rate in _known(table["elements_per_cycle"], OTHER_KINDS, "kind").items()
    }
    return CoreSpeed(table["core"], rates, elements, table["source"], frozenset(rates))


def _object(given: Any, what: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise RequestError(f"{what} is no JSON object")
    return cast("dict[str, Any]", given)


def _known(given: Any, known: Iterable[str], what: str) -> dict[str, Any]:
    expected = tuple(known)
    rows = _object(given, f"the rates by {what}")
    for name in rows:
        if name not in expected:
            raise RequestError(f"there is no {what} '{shown(name)}'; known are {', '.join(expected)}")
    return rows


def _rate(given: Any, what: str) -> float:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or not SLOWEST <= given <= 1 / SLOWEST:
        raise RequestError(f"the rate of {what} is {str(given)[:40]!r}; expected 0.000001 to 1000000 in a cycle")
    return float(given)


def _elements_read(network: Network, layer: Layer) -> int:
    if isinstance(layer, Pool):
        return network.shapes[layer.output].elements * layer.kernel[0] * layer.kernel[1]
    return sum(shape.elements for shape in network.input_shapes(layer))
