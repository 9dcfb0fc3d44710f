"""Estimated latency of a network on a core: the cycles of each layer, by its kernel and by the bits of its tensors.

    convolution, fully connected    multiply-accumulates / multiply-accumulates per cycle at these bits
    add, concat, pool, ...          elements read / elements per cycle; a pool reads each window completely

Each is rounded up to whole cycles. `core_speeds.py` has tables of cores; a user's table of measured rates can replace
them (`core_speed_json.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from network.allocation import Allocation, Bits
from network.errors import RequestError
from network.kernels import KERNELS_WITHOUT_WEIGHTS, kernel_of, require_rows
from network.layers import Layer, Pool, WeightLayer
from network.names import shown
from network.network import Network

Key = tuple[str, Bits, Bits]
"""Name of a kernel, bits of the activation tensor that it reads, bits of its weights."""

MAX_CYCLES: Final = 2**53
"""Largest number of cycles of a ceiling: sums of cycles up to it are exact in floating point."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Multiply-accumulates and elements per clock cycle of the kernels of a core.

    Attributes:
        multiply_accumulates_per_cycle: (kernel, activation bits, weight bits) -> number per cycle, above 0.
        elements_per_cycle: Kernel without weights -> number of elements read per cycle, above 0.
    """

    multiply_accumulates_per_cycle: Mapping[Key, float]
    elements_per_cycle: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CoreSpeed:
    """Speed of a microcontroller core: multiply-accumulates and elements per clock cycle, for each kernel.

    Attributes:
        core: Name of the core.
        multiply_accumulates_per_cycle: (kernel, activation bits, weight bits) -> number per cycle, above 0.
        elements_per_cycle: Kernel without weights -> number of elements read per cycle, above 0.
        source: Description of how the rates were found.
        measured: Keys of the rates that were measured; other rates are derived from them, or counted by hand.
        by_optimization: Optimization flag of the compiler, e.g. "Os" -> the rates that differ with it from those above.
    """

    core: str
    multiply_accumulates_per_cycle: Mapping[Key, float]
    elements_per_cycle: Mapping[str, float]
    source: str
    measured: frozenset[Key] = field(default=frozenset())
    by_optimization: Mapping[str, Rates] = field(default_factory=dict)

    @property
    def rates(self) -> Rates:
        """The rates that hold for every optimization flag that has none of its own."""
        return Rates(self.multiply_accumulates_per_cycle, self.elements_per_cycle)

    def compiled(self, optimization: str | None) -> CoreSpeed:
        """Return the speed of the kernels if they are compiled with an optimization flag.

        Args:
            optimization: The flag, e.g. "Os"; None if it is not known.
        """
        rates = Rates({}, {}) if optimization is None else self.by_optimization.get(optimization, Rates({}, {}))
        return replace(
            self,
            multiply_accumulates_per_cycle={
                **self.multiply_accumulates_per_cycle,
                **rates.multiply_accumulates_per_cycle,
            },
            elements_per_cycle={**self.elements_per_cycle, **rates.elements_per_cycle},
            measured=self.measured.union(rates.multiply_accumulates_per_cycle),
            by_optimization={},
        )

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
