"""The `deployed` byte accounting: the flash and RAM that the generated C code of a network needs.

    flash    packed weights; those that several layers share once, with the first of them
             requantization constants of every layer, its constant structs and its step in the table of steps
             the entry that ends this table
             code of the C functions in use
    RAM      the arena: activation tensors and scratch memory at planned offsets
             the deepest stack

`packing.py` defines the weights, `requantization.py` the constants, `descriptors.py` the structs, `scratch.py` the
scratch memory, `code.py` the code and `stack.py` the stack, from the sizes that were measured for the core
(`network/kernel_sizes`).

Every layer is a step, in chains too, and every tensor that is alive during it has a place in the arena.

In place: a layer whose kernel is in `in_place` overwrites the first of its inputs that has the shape of the output and
that no later layer reads, if both have the same bits and the additional scratch memory is less than the output. Input
and output are then one rectangle of the arena, from the step that writes the input to the last step that reads the
output; several layers in a row that overwrite make one rectangle. The network's outputs are never overwritten. The
network's inputs are overwritten only if `reuses_input` is true; otherwise they are alive to the end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from weakref import WeakKeyDictionary

from network.allocation import Bits, Scheme
from network.arena.plan import ArenaPlan, LiveTensor, plan_arena, scratch_name
from network.errors import InvalidNetwork, RequestError
from network.kernel_functions import Form
from network.kernel_sizes.tables import KernelSizes, sizes_for
from network.kernels import IN_PLACE_KERNELS, KERNELS, kernel_of
from network.layers import Layer, WeightLayer
from network.live_ranges import live_ranges
from network.memory.accounting import Feature, LayerBits
from network.memory.code import code_of
from network.memory.descriptors import END_OF_STEPS, STRUCT_BYTES, descriptor_bytes
from network.memory.measure import overwritten_input, step_scratch_bytes
from network.memory.packing import WORD_BYTES, packed_row_bytes, weight_tensor_bytes, whole_words
from network.memory.report import Region, Shared
from network.memory.requantization import requantization_bytes
from network.memory.scratch import in_place_scratch_bytes, scratch_bytes
from network.memory.stack import stack_of
from network.memory.steps import InPlace, Occupant, Step, live_steps
from network.network import Network

_CodeAndStack = tuple[tuple[Shared, ...], tuple[Feature, ...]]
_CODE_AND_STACK: Final[WeakKeyDictionary[DeployedAccounting, WeakKeyDictionary[Network, _CodeAndStack]]] = (
    WeakKeyDictionary()
)
"""What each network needs by each accounting; it is not an attribute, because accountings are compared by those."""


class DeployedAccounting:
    """Byte accounting by the flash and RAM of the generated C code; the module's docstring lists the rules.

    Attributes:
        sizes: Code and stack of the C functions on the core.
        in_place: Names of the kernels that overwrite an input.
        reuses_input: Whether the memory of each input of the network is free after the last layer that reads it.
        forms: Name of a layer -> how it requantizes; a missing layer is narrow, as the bits are chosen for.
    """

    name = "deployed"
    counts_shared_weights_once = True

    def __init__(
        self,
        sizes: KernelSizes | None = None,
        in_place: Collection[str] = IN_PLACE_KERNELS,
        *,
        reuses_input: bool = True,
        forms: Mapping[str, Form] = MappingProxyType({}),
    ) -> None:
        """Create the `deployed` byte accounting for a device.

        Args:
            sizes: Code and stack of the C functions on the core; None for estimates for a core that is not known.
            in_place: Names of the kernels that overwrite an input, of `network.kernels.IN_PLACE_KERNELS`.
            reuses_input: Whether the memory of each input of the network is free after the last layer that reads it.
            forms: Name of a layer -> how it requantizes; a missing layer is narrow.

        Raises:
            RequestError: if a kernel of `in_place` cannot overwrite an input.
        """
        unknown = sorted(set(in_place) - set(IN_PLACE_KERNELS))
        if unknown:
            raise RequestError(
                f"the kernel {unknown[0][:60]!r} cannot overwrite an input; kernels that can are: "
                f"{', '.join(IN_PLACE_KERNELS)}"
            )
        self.sizes = sizes_for(None) if sizes is None else sizes
        self.in_place = frozenset(in_place)
        self.reuses_input = reuses_input
        self.forms = forms

    def with_forms(self, forms: Mapping[str, Form]) -> DeployedAccounting:
        """Return the same byte accounting for layers that requantize in the given forms.

        Args:
            forms: Name of a layer -> how it requantizes; a missing layer is narrow.
        """
        return DeployedAccounting(self.sizes, self.in_place, reuses_input=self.reuses_input, forms=forms)

    def steps(self, network: Network) -> tuple[Step, ...]:
        """Return every layer of a network as a step whose RAM is counted.

        Raises:
            InvalidNetwork: if the network has no layer with weights, or a layer of an unknown kind.
        """
        if not network.weight_layers:
            raise InvalidNetwork(
                "the network has no weights to choose bits for; expected a convolution or a fully connected layer"
            )
        return live_steps(network, _scratch(network), self._in_place(network), reuses_input=self.reuses_input)

    def same_bits(self, network: Network) -> Mapping[str, str]:
        """Return, for each activation tensor, its own name: the bits of all tensors are independent."""
        return {tensor: tensor for tensor in network.tensors}

    def activation_bytes(self, occupant: Occupant, bits: Bits) -> float:
        """Return the number of bytes of an activation tensor in the arena, a multiple of 4.

        The channels of each pixel are padded to whole bytes.
        """
        shape = occupant.shape
        return whole_words(shape.height * shape.width * packed_row_bytes(shape.channels, bits))

    def weight_bytes(self, network: Network, layer: WeightLayer, bits: Bits) -> float:
        """Return the number of bytes of a layer's packed weight tensor, with all padding.

        It is 0 if an earlier layer stores the same weight tensor.

        Raises:
            InvalidNetwork: if the class of the layer is not registered.
        """
        (input_shape,) = network.input_shapes(layer)
        kernel = KERNELS[kernel_of(layer, input_shape)]
        if not network.weight_owners.stores(layer.name):
            return 0.0
        return weight_tensor_bytes(layer.weight_shape((input_shape,)), bits, is_depthwise=kernel.has_row_per_position)

    def parameter_bytes(
        self, network: Network, layer: Layer, scheme: Scheme | None, bits: LayerBits, *, is_last: bool
    ) -> int:
        """Return the number of bytes of a layer's requantization constants, constant structs and step.

        Raises:
            InvalidNetwork: if the class of the layer is not registered.
            ValueError: if a layer with weights has no scheme.
        """
        del is_last
        (shape, *_) = network.input_shapes(layer)
        constants = requantization_bytes(layer, scheme, bits, self.forms.get(layer.name, Form.NARROW))
        return descriptor_bytes(layer, shape) + constants

    def always_shared(self, network: Network) -> tuple[Shared, ...]:
        """Return the bytes of code and stack that a network needs at all bits, and those of the end of its steps."""
        return self._code_and_stack(network)[0]

    def features(self, network: Network) -> tuple[Feature, ...]:
        """Return the bytes of code and stack that a network needs only if certain bits are in use."""
        return self._code_and_stack(network)[1]

    def _code_and_stack(self, network: Network) -> _CodeAndStack:
        """Return what a network needs at all bits and with certain bits: the solver asks dozens of times."""
        of_networks = _CODE_AND_STACK.setdefault(self, WeakKeyDictionary())
        known = of_networks.get(network)
        if known is None:
            always, code = code_of(network, self.sizes, self.forms)
            end = Shared(Region.FLASH, END_OF_STEPS, STRUCT_BYTES["bb_step"], is_estimate=False)
            stack, features = stack_of(network, self.sizes, self.forms)
            known = of_networks[network] = ((*always, end, stack), (*code, *features))
        return known

    def arena(self, network: Network, activation_bits: Mapping[str, Bits], enough_bytes: int = 0) -> ArenaPlan:
        """Plan the offset of each activation tensor and scratch buffer of a network in the arena, their RAM buffer.

        Args:
            network: The network, with its layers in schedule order.
            activation_bits: Name of each tensor to place -> its bits; other tensors are left out.
            enough_bytes: Arena size in bytes at which the search for a smaller plan stops.
        """
        steps = self.steps(network)
        owner: dict[str, str] = {}  # tensor that overwrites another -> the first tensor of their common rectangle
        scratch = {}
        for step in steps:
            overwritten = overwritten_input(step, self, activation_bits)
            if overwritten is not None:
                owner[step.output.tensor] = owner.get(overwritten, overwritten)
            scratch[step.layer] = step_scratch_bytes(step, overwritten)
        placed = [tensor for tensor in network.tensors if tensor in activation_bits]
        rectangles = self._rectangles(network, activation_bits, placed, owner) + _scratch_rectangles(scratch)
        plan = plan_arena(rectangles, alignment_bytes=WORD_BYTES, enough_bytes=enough_bytes)
        tensors = {tensor: plan.offsets[owner.get(tensor, tensor)] for tensor in placed}
        scratches = {name: offset for name, offset in plan.offsets.items() if name not in tensors}
        return replace(plan, offsets=tensors | scratches)

    def _rectangles(
        self, network: Network, activation_bits: Mapping[str, Bits], placed: list[str], owner: Mapping[str, str]
    ) -> list[LiveTensor]:
        """Return the tensors that need their own memory, each alive as long as any tensor that overwrites it."""
        ranges = live_ranges(network, reuses_input=self.reuses_input)
        ends: dict[str, int] = {}
        for tensor in placed:
            first = owner.get(tensor, tensor)
            ends[first] = max(ends.get(first, 0), ranges[tensor].stop)
        return [
            LiveTensor(
                tensor,
                ranges[tensor].start,
                ends[tensor],
                int(self.activation_bytes(Occupant(tensor, network.shapes[tensor]), activation_bits[tensor])),
            )
            for tensor in placed
            if tensor not in owner
        ]

    def _in_place(self, network: Network) -> dict[str, InPlace]:
        """Return, for each layer that can overwrite an input, the names of those inputs."""
        if not self.in_place:
            return {}
        kept = {*network.outputs, *(() if self.reuses_input else network.input_names)}
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


def _scratch(network: Network) -> dict[str, int]:
    scratch = {}
    for layer in network.layers:
        (shape, *_) = network.input_shapes(layer)
        scratch[layer.name] = scratch_bytes(layer, shape)
    return scratch


def _scratch_rectangles(scratch: Mapping[str, int]) -> list[LiveTensor]:
    """Return the scratch buffers of a network's layers as tensors that are alive during one step.

    Args:
        scratch: Name of each layer, in schedule order -> number of bytes of scratch memory of its step.
    """
    return [
        LiveTensor(scratch_name(layer), step, step + 1, size_bytes)
        for step, (layer, size_bytes) in enumerate(scratch.items())
        if size_bytes
    ]
