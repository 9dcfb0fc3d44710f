"""Estimated latency of a network on a core: the cycles of each layer, by its kernel and by the bits of its tensors.

    convolution, fully connected    multiply-accumulates / multiply-accumulates per cycle at these bits
    add, concat, pool, ...          elements read / elements per cycle; a pool reads each window completely

Each is rounded up to whole cycles. `core_speeds.py` has tables of three cores, which count instructions; a user's
table of measured rates can replace them (`core_speed_of`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from network.allocation import BITS, Allocation, Bits
from network.errors import RequestError
from network.kernels import KERNELS_WITHOUT_WEIGHTS, WEIGHT_KERNELS, kernel_of, require_rows
from network.layers import Layer, Pool, WeightLayer
from network.names import described, is_name, shown
from network.network import Network

Key = tuple[str, Bits, Bits]
"""Name of a kernel, bits of the activation tensor that it reads, bits of its weights."""

MAX_CYCLES: Final = 2**53
"""Largest number of cycles of a ceiling: sums of cycles up to it are exact in floating point."""
SLOWEST: Final = 1e-6
"""Smallest rate per cycle: a million cycles for one multiplication can only be a mistake."""


@dataclass(frozen=True, slots=True)
class CoreSpeed:
    """Speed of a microcontroller core: multiply-accumulates and elements per clock cycle, for each kernel.

    Attributes:
        core: Name of the core.
        multiply_accumulates_per_cycle: (kernel, activation bits, weight bits) -> number per cycle, above 0.
        elements_per_cycle: Kernel without weights -> number of elements read per cycle, above 0.
        source: Description of how the rates were found.
        measured: Keys of the rates that were measured; other rates are derived from them, or counted by hand.
    """

    core: str
    multiply_accumulates_per_cycle: Mapping[Key, float]
    elements_per_cycle: Mapping[str, float]
    source: str
    measured: frozenset[Key] = field(default=frozenset())

    def is_estimate(self, kernel: str, activation_bits: Bits, weight_bits: Bits) -> bool:
        """Return whether a kernel's multiply-accumulates per cycle were derived from other rates, not measured."""
        return (kernel, activation_bits, weight_bits) not in self.measured


@dataclass(frozen=True, slots=True)
class Latency:
    """Upper limit on the clock cycles of one inference, on a core of known speed.

    Attributes:
        speed: Speed of the kernels of the core.
        most_cycles: Largest number of cycles that one inference may need, from 1 to 2^53.

    Raises:
        RequestError: if `most_cycles` is not a whole number in that range.
    """

    speed: CoreSpeed
    most_cycles: int

    def __post_init__(self) -> None:
        if isinstance(self.most_cycles, bool) or not isinstance(self.most_cycles, int):
            raise RequestError(f"the latency ceiling is {self.most_cycles!r}; expected a whole number of cycles")
        if not 1 <= self.most_cycles <= MAX_CYCLES:
            raise RequestError(f"the latency ceiling is {self.most_cycles} cycles; expected 1 to {MAX_CYCLES}")


def layer_cycles(network: Network, layer: Layer, input_bits: Bits, weight_bits: Bits | None, speed: CoreSpeed) -> int:
    """Return the estimated number of clock cycles that one layer of a network needs.

    Args:
        network: The network that contains the layer.
        layer: The layer.
        input_bits: Bits of the first tensor that the layer reads; ignored for a layer without weights.
        weight_bits: Bits of the layer's weights; None for a layer without weights.
        speed: Speed of the kernels of the core.

    Raises:
        InvalidNetwork: if the class of the layer is not in `network.kernels.LAYER_KINDS`.
        RequestError: if `speed` has no rate for the kernel at these bits.
    """
    shapes = network.input_shapes(layer)
    kernel = kernel_of(layer, shapes[0])
    if isinstance(layer, WeightLayer):
        if weight_bits is None:
            raise ValueError(f"layer '{layer.name}' has weights, but no number of bits is given for them")
        rate = speed.multiply_accumulates_per_cycle.get((kernel, input_bits, weight_bits))
        work = layer.multiply_accumulates(shapes)
        what = f"{kernel} with {input_bits}-bit activations and {weight_bits}-bit weights"
    else:
        rate = speed.elements_per_cycle.get(kernel)
        work = _ELEMENTS_READ[kernel](network, layer)
        what = kernel
    if rate is None:
        raise RequestError(
            f"the speeds of core '{shown(speed.core)}' have no rate for {what}, "
            f"which layer '{layer.name}' needs; add this rate to the table of speeds"
        )
    return math.ceil(work / rate)


def network_cycles(network: Network, allocation: Allocation, speed: CoreSpeed) -> int:
    """Return the estimated number of clock cycles of one inference of a network.

    Args:
        network: The network.
        allocation: Bits of every tensor.
        speed: Speed of the kernels of the core.

    Raises:
        InvalidNetwork: if the class of a layer is not in `network.kernels.LAYER_KINDS`.
        RequestError: if `speed` lacks a rate that the network needs.
    """
    bits = allocation.activation_bits
    return sum(
        layer_cycles(network, layer, bits[layer.inputs[0]], allocation.weight_bits.get(layer.name), speed)
        for layer in network.layers
    )


def core_speed_of(given: Any) -> CoreSpeed:
    """Read a user's table of kernel speeds (rates per clock cycle) from a decoded JSON value.

        {"core": "my-core", "source": "measured on the board",
         "multiply_accumulates_per_cycle": {"pointwise_convolution": {"8/8": 0.5, "8/4": 0.4}},
         "elements_per_cycle": {"add": 0.1}}

    "8/4" stands for 8 activation bits and 4 weight bits. Rates that a network does not need may be missing.

    Args:
        given: Decoded JSON value: an object with exactly the four keys above.

    Raises:
        RequestError: if the value is not such an object, or has an unknown kernel, an unknown pair of bits, or a rate
            out of range.
    """
    table = _object(given, "the table of speeds")
    keys = {"core", "source", "multiply_accumulates_per_cycle", "elements_per_cycle"}
    if table.keys() != keys:
        odd = next(iter(sorted(map(str, table.keys() ^ keys))))
        raise RequestError(
            f"the table of speeds {'lacks the key' if odd in keys else 'has the unknown key'} '{shown(odd)}'; "
            f"expected exactly {', '.join(sorted(keys))}"
        )
    for key in ("core", "source"):
        if not is_name(table[key]):
            raise RequestError(f"the table of speeds has {described(table[key])} as its {key}; expected printable text")
    rates: dict[Key, float] = {}
    for kernel, row in _known(table["multiply_accumulates_per_cycle"], WEIGHT_KERNELS, "kernel").items():
        pairs = {f"{activation}/{weight}": (activation, weight) for activation in BITS for weight in BITS}
        for pair, rate in _known(row, pairs, f"pair of activation and weight bits of {kernel}").items():
            rates[kernel, *pairs[pair]] = _rate(rate, f"{kernel} at {pair} bits", "multiply-accumulates")
    elements = {
        kind: _rate(rate, kind, "elements")
        for kind, rate in _known(table["elements_per_cycle"], KERNELS_WITHOUT_WEIGHTS, "kernel without weights").items()
    }
    return CoreSpeed(table["core"], rates, elements, table["source"], frozenset(rates))


def core_speed_to_json(speed: CoreSpeed) -> dict[str, Any]:
    """Return a table of kernel speeds as a JSON object; `core_speed_of` reads it back."""
    rates: dict[str, dict[str, float]] = {}
    for (kernel, activation, weight), rate in speed.multiply_accumulates_per_cycle.items():
        rates.setdefault(kernel, {})[f"{activation}/{weight}"] = rate
    return {
        "core": speed.core,
        "source": speed.source,
        "multiply_accumulates_per_cycle": rates,
        "elements_per_cycle": dict(speed.elements_per_cycle),
    }


def _object(given: Any, what: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise RequestError(f"{what} is {described(given)}; expected a JSON object")
    return cast("dict[str, Any]", given)


def _known(given: Any, known: Iterable[str], what: str) -> dict[str, Any]:
    expected = tuple(known)
    rows = _object(given, f"the rates by {what}")
    for name in rows:
        if name not in expected:
            raise RequestError(
                f"the table of speeds has the unknown {what} '{shown(name)}'; expected one of {', '.join(expected)}"
            )
    return rows


def _rate(given: Any, what: str, unit: str) -> float:
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or not SLOWEST <= given <= 1 / SLOWEST:
        raise RequestError(
            f"the rate of {what} is {str(given)[:40]!r}; expected a number of {unit} per cycle from 0.000001 to 1000000"
        )
    return float(given)


def _each_input_once(network: Network, layer: Layer) -> int:
    """Return the total number of elements of all input tensors of a layer."""
    return sum(shape.elements for shape in network.input_shapes(layer))


def _each_window(network: Network, layer: Pool) -> int:
    """Return the number of elements of all windows of a pooling layer; overlaps are counted in each window."""
    return network.shapes[layer.output].elements * layer.window_elements


_ELEMENTS_READ: Final[Mapping[str, Callable[[Network, Any], int]]] = {
    "add": _each_input_once,
    "activation": _each_input_once,
    "concat": _each_input_once,
    "max_pool": _each_window,
    "average_pool": _each_window,
    "pad": _each_input_once,
}
require_rows(_ELEMENTS_READ, KERNELS_WITHOUT_WEIGHTS, "the table of elements that kernels read")
