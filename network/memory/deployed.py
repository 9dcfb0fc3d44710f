"""The `deployed` rule book: what the generated C takes.

    flash    packed weights, each row padded to a byte
             requantization constants of every layer, and its entry in the layer table
             code of the kernels that the network links, and start-up data          estimates until linked
    RAM      the arena: activation tensors and scratch at planned offsets
             state and the deepest stack                                            estimates until linked

Rows, as the kernels read them: an output channel's weights (depthwise: a kernel position's), a pixel's channels. A row
of n codes of b bits takes ceil(n * b / 8) bytes.

Requantization constants, c output channels:

    bias                     4 c       int32
    multiplier and shift     5 c       int32 and int8, for each channel (ICN); 5 where one serves all (folded weights)
    weight zero points         c       for each channel; 1 where one serves all
    add of k inputs          4 k + 1   one multiplier each, one shift
    concat of k inputs       5 k
    pools, pad, activation   5         a multiplier and a shift; an average pool that leaves padding out has
                                       5 for each number of elements that a window can have

Every layer is a step, in chains too, and everything alive during it has a place in the arena.

In place: a layer of a kind in `in_place` writes onto an input that has its output's shape and whose last reader it is,
the first such one in its own order, where both have the same bits and what the kernel needs beside is less than what
the output would take. Input and output are then one rectangle of the arena, from the step that writes the input to the
last that reads the output; layer after layer in place make one rectangle. The network's outputs are never written
over, nor is its input unless the device lets go of it (`reuses_input`). Without that the input lives to the end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from network.allocation import BITS, Bits, Folding, Scheme
from network.arena.plan import ArenaPlan, LiveTensor, plan_arena, scratch_name
from network.errors import InvalidNetwork, RequestError
from network.layers import Activation, Add, AveragePool, Concat, Convolution, Layer, WeightLayer
from network.memory.kernel_table import (
    CORTEX_M4,
    IN_PLACE_KERNELS,
    KernelTable,
    in_place_scratch_bytes,
    kernel_of,
    scratch_bytes,
)
from network.memory.packing import packed_row_bytes, weight_rows
from network.memory.report import Feature, Region, Shared, overwritten_input, step_scratch_bytes
from network.memory.steps import InPlace, Occupant, Step, live_steps
from network.network import Network

FACTOR_BYTES: Final = 5
"""An int32 multiplier and an int8 shift."""


class DeployedAccounting:
    """See the module's text.

    Args:
        kernels: the core's figures.
        in_place: the kernels that write onto their input, of "activation", "add" and "depthwise_convolution".
        reuses_input: the network's input gives its place up once it is read.

    Raises:
        RequestError: another kernel.
    """

    name = "deployed"

    def __init__(
        self, kernels: KernelTable = CORTEX_M4, in_place: Collection[str] = (), *, reuses_input: bool = True
    ) -> None:
        unknown = sorted(set(in_place) - set(IN_PLACE_KERNELS))
        if unknown:
            raise RequestError(
                f"{unknown[0][:60]!r} cannot write onto its input; expected some of: {', '.join(IN_PLACE_KERNELS)}"
            )
        self.kernels = kernels
        self.in_place = frozenset(in_place)
        self.reuses_input = reuses_input

    def steps(self, network: Network) -> tuple[Step, ...]:
        if not network.weight_layers:
            raise InvalidNetwork("the network has no convolution and no fully connected layer: nothing to fit")
        return live_steps(network, _scratch(network), self._in_place(network), reuses_input=self.reuses_input)

    def same_bits(self, network: Network) -> Mapping[str, str]:
        return {tensor: tensor for tensor in network.tensors}

    def activation_bytes(self, occupant: Occupant, bits: Bits) -> float:
        shape = occupant.shape
        return shape.height * shape.width * packed_row_bytes(shape.channels, bits)

    def weight_bytes(self, network: Network, layer: WeightLayer, bits: Bits) -> float:
        (input_shape,) = network.input_shapes(layer)
        is_depthwise = isinstance(layer, Convolution) and layer.is_depthwise(input_shape)
        rows, elements = weight_rows(layer.weight_shape((input_shape,)), is_depthwise=is_depthwise)
        return rows * packed_row_bytes(elements, bits)

    def parameter_bytes(self, network: Network, layer: Layer, scheme: Scheme | None, *, is_last: bool) -> int:
        del is_last
        (shape, *_) = network.input_shapes(layer)
        entry = self.kernels.table_entry_bytes[kernel_of(layer, shape)]
        return entry + _requantization_bytes(layer, scheme)

    def always_shared(self, network: Network) -> tuple[Shared, ...]:
        kernels = self.kernels
        used = {layer.kind for layer in network.layers if not isinstance(layer, WeightLayer)}
        return (
            *(
                Shared(Region.FLASH, f"kernel code: {kind}", kernels.kernel_bytes[kind], is_estimate=True)
                for kind in sorted(used)
            ),
            Shared(Region.FLASH, "runtime code", kernels.runtime_bytes, is_estimate=True),
            Shared(Region.FLASH, "start-up data", kernels.startup_bytes, is_estimate=True),
            Shared(Region.RAM, "state", kernels.state_bytes, is_estimate=True),
            Shared(Region.RAM, "stack", kernels.stack_bytes, is_estimate=True),
        )

    def features(self, network: Network) -> tuple[Feature, ...]:
        by_kernel: dict[str, list[str]] = {}
        for layer in network.weight_layers:
            (shape,) = network.input_shapes(layer)
            by_kernel.setdefault(kernel_of(layer, shape), []).append(layer.name)
        weight_kernels = [
            Feature(
                self._code(f"{kernel}, {bits}-bit weights", self.kernels.weight_kernel_bytes[kernel, bits]),
                bits,
                layers=tuple(layers),
            )
            for kernel, layers in by_kernel.items()
            for bits in BITS
        ]
        packers = [
            Feature(self._code(f"{bits}-bit activations", size), bits, tensors=network.tensors)
            for bits, size in self.kernels.activation_bits_bytes.items()
            if size
        ]
        return (*weight_kernels, *packers)

    def arena(self, network: Network, activation_bits: Mapping[str, Bits], enough_bytes: int = 0) -> ArenaPlan | None:
        steps = self.steps(network)
        lies_on: dict[str, str] = {}  # a tensor -> the first of those that share its rectangle
        scratch = {}
        for step in steps:
            onto = overwritten_input(step, self, activation_bits)
            if onto is not None:
                lies_on[step.output.tensor] = lies_on.get(onto, onto)
            scratch[step.layer] = step_scratch_bytes(step, onto)
        placed = [tensor for tensor in network.tensors if tensor in activation_bits]
        rectangles = self._rectangles(network, activation_bits, placed, lies_on) + _scratch_rectangles(scratch)
        plan = plan_arena(rectangles, enough_bytes=enough_bytes)
        tensors = {tensor: plan.offsets[lies_on.get(tensor, tensor)] for tensor in placed}
        scratches = {name: offset for name, offset in plan.offsets.items() if name not in tensors}
        return replace(plan, offsets=tensors | scratches)

    def _rectangles(
        self, network: Network, activation_bits: Mapping[str, Bits], placed: list[str], lies_on: Mapping[str, str]
    ) -> list[LiveTensor]:
        """The tensors that have a place of their own, each for as long as one of those that lie on it lives."""
        last = len(network.layers)
        end = {tensor: step + 1 for step, layer in enumerate(network.layers) for tensor in layer.inputs}
        end |= dict.fromkeys(network.outputs if self.reuses_input else (network.input, *network.outputs), last)
        start = {network.input: 0} | {layer.output: step for step, layer in enumerate(network.layers)}
        ends: dict[str, int] = {}
        for tensor in placed:
            own = lies_on.get(tensor, tensor)
            ends[own] = max(ends.get(own, 0), end.get(tensor, last))
        return [
            LiveTensor(
                tensor,
                start[tensor],
                ends[tensor],
                int(self.activation_bytes(Occupant(tensor, network.shapes[tensor]), activation_bits[tensor])),
            )
            for tensor in placed
            if tensor not in lies_on
        ]

    def _in_place(self, network: Network) -> dict[str, InPlace]:
        if not self.in_place:
            return {}
        kept = {*network.outputs, *(() if self.reuses_input else (network.input,))}
        found = {}
        for layer in network.layers:
            (shape, *_) = network.input_shapes(layer)
            scratch = in_place_scratch_bytes(layer, shape) if kernel_of(layer, shape) in self.in_place else None
            candidates = tuple(
                tensor
                for tensor in dict.fromkeys(layer.inputs)
                if tensor not in kept and network.shapes[tensor] == network.shapes[layer.output]
            )
            if scratch is not None and candidates:
                found[layer.name] = InPlace(candidates, scratch)
        return found

    @staticmethod
    def _code(part: str, size_bytes: int) -> Shared:
        return Shared(Region.FLASH, f"kernel code: {part}", size_bytes, is_estimate=True)


def _scratch(network: Network) -> dict[str, int]:
    scratch = {}
    for layer in network.layers:
        (shape, *_) = network.input_shapes(layer)
        scratch[layer.name] = scratch_bytes(layer, shape)
    return scratch


def _scratch_rectangles(scratch: Mapping[str, int]) -> list[LiveTensor]:
    """What each step's kernel takes beside, by layer in schedule order."""
    return [
        LiveTensor(scratch_name(layer), step, step + 1, size_bytes)
        for step, (layer, size_bytes) in enumerate(scratch.items())
        if size_bytes
    ]


def _requantization_bytes(layer: Layer, scheme: Scheme | None) -> int:
    if isinstance(layer, WeightLayer):
        if scheme is None:
            raise ValueError(f"layer '{layer.name}' has weights and no scheme")
        channels = layer.output_channels
        factors = channels if scheme.folding is Folding.ICN or scheme.weights.is_per_channel else 1
        zero_points = channels if scheme.weights.has_zero_point_per_channel else 1
        return 4 * channels + FACTOR_BYTES * factors + zero_points
    if isinstance(layer, Add):
        return 4 * len(layer.inputs) + 1
    if isinstance(layer, Activation):
        return FACTOR_BYTES
    if isinstance(layer, Concat):
        return FACTOR_BYTES * len(layer.inputs)
    if isinstance(layer, AveragePool) and any(layer.padding) and not layer.count_includes_padding:
        return FACTOR_BYTES * layer.kernel[0] * layer.kernel[1]
    return FACTOR_BYTES
