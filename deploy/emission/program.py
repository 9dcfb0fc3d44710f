"""A network as its C files describe it: the steps with their constants, descriptors and functions, and the arena."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.emission.constants import ConstantObject, constants_of
from deploy.emission.descriptors import Struct, Surroundings, convolution_structs
from deploy.emission.placement import Placement, placement_of
from deploy.emission.weightless_descriptors import weightless_structs
from deploy.integer_network import IntegerConvolution, IntegerLayer, IntegerNetwork
from deploy.structure import forms_on_chip, structure_of
from network.kernel_functions import RUN_FUNCTION, functions_of, is_depthwise_3x3
from network.kernels import kernel_of
from network.memory.deployed import DeployedAccounting
from network.network import Network


@dataclass(frozen=True, slots=True, eq=False)
class StepCode:
    """One step of a network in C.

    Attributes:
        number: Number of the step: 1, 2, ...
        layer: The layer that the step runs.
        functions: Names of the C functions that run it, the driver first, with the prefix `bb_`.
        objects: Constant arrays that the step stores.
        structs: Constant structs of the step, the descriptor last.
    """

    number: int
    layer: IntegerLayer
    functions: tuple[str, ...]
    objects: tuple[ConstantObject, ...]
    structs: tuple[Struct, ...]

    @property
    def table_entry(self) -> str:
        """Initializer of the step in the table of steps."""
        return f"{{{self.functions[0]}, &{self.structs[-1].symbol}}}"


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A network as its C files describe it.

    Attributes:
        name: Name of the C files, the prefix of everything that they define.
        network: The integer-only network.
        structure: Its structure, by which bytes are counted.
        placement: Plan of its arena.
        steps: Its steps in the order in which they run.
    """

    name: str
    network: IntegerNetwork
    structure: Network
    placement: Placement
    steps: tuple[StepCode, ...]

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the C functions that the network needs, sorted, with the prefix `bb_`."""
        return tuple(sorted({RUN_FUNCTION, *(name for step in self.steps for name in step.functions)}))

    @property
    def multiply_accumulates(self) -> int:
        """Number of multiply-accumulates of an inference; those with padding elements are included."""
        structure = self.structure
        return sum(layer.multiply_accumulates(structure.input_shapes(layer)) for layer in structure.weight_layers)

    def objects(self) -> Iterator[tuple[StepCode, ConstantObject]]:
        """Yield each constant array with the step that stores it."""
        for step in self.steps:
            for each in step.objects:
                yield step, each


def program_of(network: IntegerNetwork, name: str, accounting: DeployedAccounting) -> Program:
    """Return an integer-only network as its C files describe it.

    Args:
        network: The integer-only network.
        name: The name of the C files.
        accounting: The rules by which bytes are counted, and by which layers overwrite their inputs.

    Raises:
        ConversionError: if the network is inconsistent, or if a number does not fit into the C structs.
        InvalidNetwork: if the network has no layer with weights.
    """
    structure, allocation = structure_of(network)
    placement = placement_of(structure, allocation, accounting)
    numbers = {layer.name: number for number, layer in enumerate(network.layers, start=1)}
    offsets = {tensor: region.offset_bytes for tensor, region in placement.tensors.items()}
    forms, steps = forms_on_chip(network, accounting), []
    for layer, counted in zip(network.layers, structure.layers, strict=True):
        around = Surroundings(
            number=numbers[layer.name],
            kernel=kernel_of(counted, structure.input_shapes(counted)[0]),
            form=forms[layer.name],
            inputs=tuple(network.tensors[each] for each in layer.inputs),
            output=network.tensors[layer.output],
            offsets=offsets,
            scratch=placement.scratch_offset(layer.name),
        )
        if isinstance(layer, IntegerConvolution):
            owner = numbers[layer.shares_weights_of or layer.name]
            steps.append(_weighted(layer, owner, around))
        else:
            steps.append(_weightless(layer, around))
    return Program(name, network, structure, placement, tuple(steps))


def _weighted(layer: IntegerConvolution, owner: int, around: Surroundings) -> StepCode:
    """Return the step of a layer whose weights the step of number `owner` stores."""
    (given,), output = around.inputs, around.output
    constants = constants_of(layer, around.number, owner, given, output)
    is_3x3 = is_depthwise_3x3(layer.kernel, layer.stride, layer.dilation, output.shape.channels // given.shape.channels)
    functions = functions_of(around.kernel, given.bits, layer.weight_bits, output.bits, around.form, is_3x3=is_3x3)
    structs = convolution_structs(layer, around, constants)
    return StepCode(around.number, layer, functions, constants.objects, structs)


def _weightless(layer: IntegerLayer, around: Surroundings) -> StepCode:
    functions = functions_of(around.kernel, around.inputs[0].bits, None, around.output.bits, around.form)
    return StepCode(around.number, layer, functions, (), weightless_structs(layer, around))
