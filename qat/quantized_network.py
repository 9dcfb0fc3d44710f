"""The fake-quantized network: one trainable torch module built from a network and a bit allocation.

In training mode, each tensor holds real values rounded to its quantization grid, batch norm uses batch statistics, and
the straight-through estimator passes gradients through the rounding. In evaluation mode, the module simulates the
deployed network (`qat.deployed_network`): it computes codes, batch norm uses running statistics, and biases are rounded
to multiples of the accumulator's step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from torch import Tensor, nn

from deploy.narrow_constants import ConstantsForm
from network.allocation import Allocation
from network.joined_samples import input_tensors
from network.network import Network
from qat.activation_ranges import check_allocation, intervals, shared_ranges
from qat.deployed_network import DeployedNetwork
from qat.float_network import combined
from qat.graph import joined_outputs, run_layers
from qat.options.names import ActivationRange, TensorOverride
from qat.options.training import TrainingOptions
from qat.quantizers.fake_quantize import Grid
from qat.quantizers.ranges import ActivationTensorRange, InputRange, activation_tensor_range
from qat.weight_step import WeightStep

NO_OVERRIDE: Final = TensorOverride()


class QuantizedNetwork(nn.Module):
    """A network as a torch module with fake-quantized weights and activations, with the bits of a bit allocation.

    `forward` maps normalised input images [n, channels, height, width] to all outputs, flattened and concatenated to
    [n, values]. Several inputs are joined to one tensor [n, elements of all inputs] (`network.joined_samples`).

    Attributes:
        network: The float network from which the module was built.
        allocation: Bits of each tensor and scheme of each weight tensor.
        options: Training options, of which the module uses those for ranges and batch norm.
        range_owner: For each activation tensor, the tensor whose quantization range it uses.

    Raises:
        InvalidNetwork: If the network has no weights.
        RequestError: If the allocation lacks an entry.
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
        # Modules are numbered, because torch does not allow dots in the names of modules.
        self._number = {tensor: number for number, tensor in enumerate(network.tensors)}
        self._ranges = nn.ModuleList(
            nn.Identity()
            if self.range_owner[tensor] != tensor
            else InputRange(bits[tensor])
            if tensor in network.input_names
            else activation_tensor_range(self.activation_range(tensor), bits[tensor], known[tensor])
            for tensor in network.tensors
        )
        steps: dict[str, WeightStep] = {}
        for layer in network.weight_layers:
            steps[layer.name] = WeightStep(
                layer,
                allocation.schemes[layer.name],
                allocation.weight_bits[layer.name],
                batch_norm_momentum=options.batch_norm_momentum,
                owner=steps.get(network.weight_owners.of[layer.name]),
            )
        self._steps = nn.ModuleList(steps.get(layer.name, nn.Identity()) for layer in network.layers)

    def override(self, tensor: str) -> TensorOverride:
        """Return the training options that differ for the layer that writes the given tensor, or for the input."""
        return self.options.overrides.get(self._writer.get(tensor, tensor), NO_OVERRIDE)

    def activation_range(self, tensor: str) -> ActivationRange:
        """Return how the quantization range of an activation tensor is determined: learned, learned_step or clipped."""
        return self.override(tensor).activation_range or self.options.activation_range

    def range_of(self, tensor: str) -> InputRange | ActivationTensorRange:
        """Return the quantization range of an activation tensor, which may be shared with the input of the layer that
        writes it.
        """
        found = self._ranges[self._number[self.range_owner[tensor]]]
        assert isinstance(found, InputRange | ActivationTensorRange)  # noqa: S101  # by construction
        return found

    def grid(self, tensor: str) -> Grid:
        """Return the quantization grid (scale and zero point) of an activation tensor."""
        return self.range_of(tensor).grid

    def weight_steps(self) -> list[WeightStep]:
        """Return the fake-quantized layers with weights of the network, in schedule order."""
        return [step for step in self._steps if isinstance(step, WeightStep)]

    def storing_steps(self) -> list[WeightStep]:
        """Return the fake-quantized layers with weights in schedule order, without those that share the weights of an
        earlier layer.
        """
        return [step for step in self.weight_steps() if self.network.weight_owners.stores(step.layer.name)]

    @property
    def form(self) -> tuple[object, ...]:
        """Bits and flags of the network that compiled code treats as constants; a change of any of them causes
        recompilation.
        """
        flags = tuple((step.bits, bool(step.is_folded), bool(step.is_frozen)) for step in self.weight_steps())
        return tuple(self.allocation.activation_bits.values()), flags

    def fold(self) -> None:
        """Fold batch norm into the weights of each layer whose quantization scheme requires it."""
        for step in self.weight_steps():
            step.fold()

    def freeze_batch_norm(self) -> None:
        """Freeze the running statistics of all batch norms; later training steps normalise by these statistics."""
        for step in self.weight_steps():
            step.freeze_batch_norm()

    def use_bits(self, allocation: Allocation) -> None:
        """Change the bits of all tensors to those of another bit allocation; the quantization schemes are unchanged.

        The weight quantizer of each layer whose bits change is initialised again.

        Raises:
            RequestError: If the allocation lacks an entry.
            ValueError: If two tensors that share a range have different bits in the allocation.
        """
        check_allocation(self.network, allocation)
        bits = allocation.activation_bits
        if any(bits[tensor] != bits[owner] for tensor, owner in self.range_owner.items()):
            raise ValueError(
                "the allocation has different bits for tensors that share a quantization range; expected equal bits"
            )
        self.allocation = replace(allocation, schemes=self.allocation.schemes)
        for tensor, owner in self.range_owner.items():
            own = self.range_of(tensor)
            if tensor == owner and isinstance(own, ActivationTensorRange):
                own.use_bits(allocation.activation_bits[tensor])
        for step in self.weight_steps():
            step.use_bits(allocation.weight_bits[step.layer.name])

    def keep_valid(self) -> None:
        """Correct all learned quantization ranges after an optimizer step, so that each contains zero and has a
        positive width.

        Each forward pass and each conversion calls this first.
        """
        for each in self._ranges:
            if isinstance(each, ActivationTensorRange):
                each.keep_valid()
        for step in self.storing_steps():
            step.quantizer.keep_valid()

    def range_parameters(self) -> list[nn.Parameter]:
        """Return the trainable clipping bounds and step sizes of all quantization ranges of activations and weights."""
        owners = [*self._ranges, *(step.quantizer for step in self.storing_steps())]
        return [parameter for owner in owners for parameter in owner.parameters() if parameter.requires_grad]

    def deployed(self, constants: ConstantsForm = ConstantsForm.NARROW) -> DeployedNetwork:
        """Build the floating-point simulation of the network on the device from the current parameters.

        Args:
            constants: Form of the constants of layers with weights: narrow if they are precise enough, or wide.
        """
        self.keep_valid()
        grids = {tensor: self.grid(tensor) for tensor in self.network.tensors}
        weights = {
            step.layer.name: step.deployed(
                grids[step.layer.inputs[0]],
                grids[step.layer.output],
                constants=constants,
                keeps_codes=self.network.weight_owners.is_shared(step.layer.name),
            )
            for step in self.weight_steps()
        }
        return DeployedNetwork(self.network, grids, self.range_owner, weights)

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            # Ranges are corrected here and not after the optimizer's step, so that a custom training loop does not
            # have to do it.
            self.keep_valid()
            return joined_outputs(self.network, self._train(images))
        return self.deployed()(images)

    def _train(self, images: Tensor) -> dict[str, Tensor]:
        def compute(index: int, inputs: Sequence[Tensor]) -> Tensor:
            layer = self.network.layers[index]
            weighted = self._steps[index]
            values = weighted(inputs[0]) if isinstance(weighted, WeightStep) else combined(layer, inputs)
            if self.range_owner[layer.output] != layer.output:
                return values
            quantized: Tensor = self.range_of(layer.output)(values)
            return quantized

        inputs = input_tensors(images, self.network.inputs)
        return run_layers(self.network, {name: self.range_of(name)(values) for name, values in inputs.items()}, compute)
