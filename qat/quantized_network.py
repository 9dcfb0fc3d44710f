"""The fake-quantized network: a network and its allocation as one torch module that learns.

In training it works on real values that lie on their tensors' grids, with batch statistics, and gradients pass straight
through the rounding. In evaluation it works as it will be deployed (`qat.deployed_network`): on codes, with running
statistics, and biases on the accumulator's grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from torch import Tensor, nn

from network.allocation import Allocation
from network.layers import WeightLayer
from network.network import Network
from qat.activation_ranges import check_allocation, intervals, shared_ranges
from qat.deployed_network import DeployedNetwork
from qat.float_network import combined
from qat.graph import Schedule
from qat.options.names import ActivationRange, TensorOverride
from qat.options.training import TrainingOptions
from qat.quantizers.fake_quantize import Grid
from qat.quantizers.ranges import ActivationTensorRange, InputRange, activation_tensor_range
from qat.weight_step import WeightStep

NO_OVERRIDE: Final = TensorOverride()


class QuantizedNetwork(nn.Module):
    """A network under an allocation, fake-quantized.

    forward: [n, c, h, w] input tensors, normalised -> [n, elements], the first output, flattened.

    Attributes:
        network: the float network that it was built from.
        allocation: the bits and schemes.
        options: how it is trained; what concerns ranges is read here.
        range_owner: every tensor -> the tensor whose range it has.
    """

    def __init__(self, network: Network, allocation: Allocation, options: TrainingOptions) -> None:
        super().__init__()
        check_allocation(network, allocation)
        self.network = network
        self.allocation = allocation
        bits = allocation.activation_bits
        self.range_owner = shared_ranges(network, bits)
        self.options = options
        self._writer = {layer.output: layer.name for layer in network.layers}
        known = intervals(network)
        # Modules are numbered, because torch's module names allow no dots.
        self._number = {tensor: number for number, tensor in enumerate(network.tensors)}
        self._ranges = nn.ModuleList(
            nn.Identity()
            if self.range_owner[tensor] != tensor
            else InputRange(bits[tensor])
            if tensor == network.input
            else activation_tensor_range(self.activation_range(tensor), bits[tensor], known[tensor])
            for tensor in network.tensors
        )
        self._steps = nn.ModuleList(
            WeightStep(
                layer,
                allocation.schemes[layer.name],
                allocation.weight_bits[layer.name],
                batch_norm_momentum=options.batch_norm_momentum,
            )
            if isinstance(layer, WeightLayer)
            else nn.Identity()
            for layer in network.layers
        )
        self._schedule = Schedule(network)

    def override(self, tensor: str) -> TensorOverride:
        """What the layer that writes a tensor does otherwise than the others."""
        return self.options.overrides.get(self._writer.get(tensor, ""), NO_OVERRIDE)

    def activation_range(self, tensor: str) -> ActivationRange:
        """Where a tensor's range comes from."""
        return self.override(tensor).activation_range or self.options.activation_range

    def range_of(self, tensor: str) -> InputRange | ActivationTensorRange:
        """The range of an activation tensor, its own or the one it shares."""
        found = self._ranges[self._number[self.range_owner[tensor]]]
        assert isinstance(found, InputRange | ActivationTensorRange)  # noqa: S101  # by construction
        return found

    def grid(self, tensor: str) -> Grid:
        """What an activation tensor's codes stand for."""
        return self.range_of(tensor).grid

    def weight_steps(self) -> list[WeightStep]:
        """The layers with weights, in schedule order."""
        return [step for step in self._steps if isinstance(step, WeightStep)]

    @property
    def form(self) -> tuple[object, ...]:
        """What compiled code takes for constants: another form is compiled anew."""
        flags = tuple((step.bits, bool(step.is_folded), bool(step.is_frozen)) for step in self.weight_steps())
        return tuple(self.allocation.activation_bits.values()), flags

    def fold(self) -> None:
        """Take batch norm into the weights wherever the scheme says so."""
        for step in self.weight_steps():
            step.fold()

    def freeze_batch_norm(self) -> None:
        """From now on no statistics follow the batches, and training takes the running ones."""
        for step in self.weight_steps():
            step.freeze_batch_norm()

    def use_bits(self, allocation: Allocation) -> None:
        """Go on with another allocation's bits; schemes stay, and quantizers start anew where their bits change.

        Raises:
            RequestError: the allocation leaves a tensor undecided.
            ValueError: tensors that shared a range would need ranges of their own.
        """
        check_allocation(self.network, allocation)
        bits = allocation.activation_bits
        if any(bits[tensor] != bits[owner] for tensor, owner in self.range_owner.items()):
            raise ValueError("tensors that share a range need equal bits")
        self.allocation = replace(allocation, schemes=self.allocation.schemes)
        for tensor, owner in self.range_owner.items():
            own = self.range_of(tensor)
            if tensor == owner and isinstance(own, ActivationTensorRange):
                own.use_bits(allocation.activation_bits[tensor])
        for step in self.weight_steps():
            step.use_bits(allocation.weight_bits[step.layer.name])

    def keep_valid(self) -> None:
        """Bring what the optimizer has changed back: every range holds zero and has an extent. Each use begins so."""
        for each in self._ranges:
            if isinstance(each, ActivationTensorRange):
                each.keep_valid()
        for step in self.weight_steps():
            step.quantizer.keep_valid()

    def range_parameters(self) -> list[nn.Parameter]:
        """The learned bounds of activation and weight ranges."""
        owners = [*self._ranges, *(step.quantizer for step in self.weight_steps())]
        return [parameter for owner in owners for parameter in owner.parameters() if parameter.requires_grad]

    def deployed(self) -> DeployedNetwork:
        """The network as it would be deployed now."""
        self.keep_valid()
        grids = {tensor: self.grid(tensor) for tensor in self.network.tensors}
        weights = {
            step.layer.name: step.deployed(grids[step.layer.inputs[0]], grids[step.layer.output])
            for step in self.weight_steps()
        }
        return DeployedNetwork(self.network, self._schedule, grids, self.range_owner, weights)

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            # Here and not behind the optimizer's step, so that a training loop needs to know nothing of ranges.
            self.keep_valid()
            return self._train(images)[self.network.outputs[0]].flatten(1)
        return self.deployed()(images)

    def _train(self, images: Tensor) -> dict[str, Tensor]:
        def step(index: int, inputs: Sequence[Tensor]) -> Tensor:
            layer = self.network.layers[index]
            weighted = self._steps[index]
            values = weighted(inputs[0]) if isinstance(weighted, WeightStep) else combined(layer, inputs)
            if self.range_owner[layer.output] != layer.output:
                return values
            quantized: Tensor = self.range_of(layer.output)(values)
            return quantized

        return self._schedule.run(self.range_of(self.network.input)(images), step)
