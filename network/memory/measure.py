"""Computation of the memory report (flash by layer, RAM by step) of a network whose bits are chosen."""

from __future__ import annotations

from collections.abc import Mapping

from network.allocation import Allocation, Bits
from network.layers import WeightLayer
from network.memory.accounting import Accounting, LayerBits, shared_memory
from network.memory.report import LayerFlash, MemoryReport, StepRam
from network.memory.steps import Occupant, Step
from network.network import Network


def measure(network: Network, allocation: Allocation, accounting: Accounting) -> MemoryReport:
    """Return the memory report (flash by layer, RAM by step) of a network at the given bits of its tensors.

    Args:
        network: The network, with its layers in schedule order.
        allocation: Bits of every tensor, and scheme of every weight tensor.
        accounting: Rules by which bytes are counted.

    Raises:
        InvalidNetwork: if a layer is of a kind whose bytes the accounting does not know; names the layer.
    """
    return MemoryReport(
        accounting.name,
        _layers(network, allocation, accounting),
        _steps(network, allocation.activation_bits, accounting),
        shared_memory(network, allocation, accounting),
        accounting.arena(network, allocation.activation_bits),
    )


def _layers(network: Network, allocation: Allocation, accounting: Accounting) -> tuple[LayerFlash, ...]:
    weighted = network.weight_layers
    bits = allocation.activation_bits
    layers = []
    for layer in network.layers:
        has_weights = isinstance(layer, WeightLayer)
        weight_bytes = (
            accounting.weight_bytes(network, layer, allocation.weight_bits[layer.name])
            if isinstance(layer, WeightLayer)
            else 0.0
        )
        parameter_bytes = accounting.parameter_bytes(
            network,
            layer,
            allocation.schemes.get(layer.name),
            LayerBits(bits[layer.inputs[0]], bits[layer.output]),
            is_last=bool(weighted) and layer is weighted[-1],
        )
        if has_weights or parameter_bytes:
            owner = network.weight_owners.of.get(layer.name, layer.name)
            is_reused = accounting.counts_shared_weights_once and owner != layer.name
            layers.append(LayerFlash(layer.name, weight_bytes, parameter_bytes, owner if is_reused else None))
    return tuple(layers)


def _steps(network: Network, bits: Mapping[str, Bits], accounting: Accounting) -> tuple[StepRam, ...]:
    def size_bytes(occupants: tuple[Occupant, ...]) -> float:
        return sum(accounting.activation_bytes(each, bits[each.tensor]) for each in occupants)

    steps = []
    for step in accounting.steps(network):
        overwritten = overwritten_input(step, accounting, bits)
        output_bytes = size_bytes((step.output,)) if overwritten is None else 0.0
        scratch_bytes = step_scratch_bytes(step, overwritten)
        steps.append(
            StepRam(
                step.layer,
                size_bytes(step.inputs),
                output_bytes,
                size_bytes(step.waiting),
                scratch_bytes,
                overwritten,
            )
        )
    return tuple(steps)


def bytes_saved_in_place(step: Step, accounting: Accounting, bits: Bits) -> float:
    """Return the number of bytes of RAM that a layer saves if its output overwrites one of its inputs.

    Args:
        step: The step of the schedule.
        accounting: Rules by which bytes are counted.
        bits: Bits of the output and of the overwritten input: they must be the same.

    Returns:
        Bytes of the output minus the additional scratch memory; 0 if overwriting is impossible or saves nothing.
    """
    if step.in_place is None:
        return 0.0
    return max(accounting.activation_bytes(step.output, bits) - step.in_place.scratch_bytes, 0.0)


def overwritten_input(step: Step, accounting: Accounting, activation_bits: Mapping[str, Bits]) -> str | None:
    """Return the name of the input that a layer's output overwrites; None if the output has its own memory.

    Args:
        step: The step of the schedule.
        accounting: Rules by which bytes are counted.
        activation_bits: Name of each tensor -> its bits. A tensor that is missing is neither overwritten nor overwrites
            another.
    """
    if step.overwrites is None:
        return None
    bits = activation_bits.get(step.output.tensor)
    if bits is None or activation_bits.get(step.overwrites) != bits:
        return None
    return step.overwrites if bytes_saved_in_place(step, accounting, bits) > 0 else None


def step_scratch_bytes(step: Step, overwritten: str | None) -> int:
    """Return the number of bytes of scratch memory in use while one layer runs.

    Args:
        step: The step of the schedule.
        overwritten: Name of the input that the output overwrites; None if the output has its own memory.
    """
    in_place = 0 if overwritten is None or step.in_place is None else step.in_place.scratch_bytes
    return step.scratch_bytes + in_place
