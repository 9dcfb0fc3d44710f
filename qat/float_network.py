"""The float network as a torch module, which computes each layer in float32 as the network's file defines it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor, nn

from network.errors import InvalidNetwork
from network.joined_samples import input_tensors
from network.layers import (
    Activation,
    ActivationFunction,
    Add,
    AveragePool,
    Concat,
    Flattening,
    Float32Array,
    Layer,
    MaxPool,
    Pad,
    WeightLayer,
)
from network.network import Network
from qat.graph import joined_outputs, run_layers
from qat.windows import convolved, max_pooled, padded, window_sizes, window_sums


class WeightParameters(nn.Module):
    """Trainable parameters of a layer with weights: the weight tensor, and either a bias or a batch norm.

    A bias before a batch norm only shifts the mean that the batch norm subtracts. It is therefore subtracted from the
    running mean, so that a layer never has both.

    Raises:
        InvalidNetwork: If the layer has no weights, or if its batch norm divides by 0.
    """

    def __init__(self, layer: WeightLayer) -> None:
        super().__init__()
        if layer.weight is None:
            raise InvalidNetwork(
                f"layer '{layer.name}' has no weights; training and calibration need the weights: use an ONNX file, or "
                "JSON with weights (without weights, bits can only be chosen)"
            )
        self.weight = nn.Parameter(_copied(layer.weight))
        bias = np.zeros(layer.output_channels, dtype=np.float32) if layer.bias is None else layer.bias
        norm = layer.batch_norm
        self.has_batch_norm = norm is not None
        if norm is None:
            self.bias = nn.Parameter(_copied(bias))
            return
        if float(norm.variance.min()) + norm.epsilon <= 0:
            raise InvalidNetwork(
                f"layer '{layer.name}' has a batch norm with variance {float(norm.variance.min()):g} and epsilon "
                f"{norm.epsilon:g}, which divides by 0; expected a sum above 0: give the batch norm an epsilon above 0"
            )
        self.epsilon = norm.epsilon
        self.gamma = nn.Parameter(_copied(norm.gamma))
        self.beta = nn.Parameter(_copied(norm.beta))
        self.register_buffer("mean", _copied(norm.mean) - _copied(bias))
        self.register_buffer("variance", _copied(norm.variance))
        self.mean: Tensor
        self.variance: Tensor

    @property
    def gain(self) -> Tensor:
        """Factor of batch norm for each output channel of a layer, gamma / sigma with the running statistics, float32
        [c].
        """
        return self.gamma / torch.sqrt(self.variance + self.epsilon)

    def normalised(self, sums: Tensor, *, momentum: float | None = None) -> Tensor:
        """Apply the layer's batch norm to the sums of its convolution.

        Args:
            sums: Sums before batch norm, [n, channels, height, width].
            momentum: Weight of the batch's statistics in the update of the running statistics, 0 to 1; the sums are
                then normalised by the batch's statistics. None normalises by the running statistics and does not update
                them.
        """
        return F.batch_norm(
            sums,
            self.mean,
            self.variance,
            self.gamma,
            self.beta,
            training=momentum is not None,
            momentum=momentum or 0.0,
            eps=self.epsilon,
        )


class FloatNetwork(nn.Module):
    """The network as a torch module in float32; batch norm uses the running statistics.

    `forward` maps normalised input images [n, channels, height, width] to all outputs, flattened and concatenated to
    [n, values]. Several inputs are joined to one tensor [n, elements of all inputs] (`network.joined_samples`).
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.parameters_of = nn.ModuleList(
            WeightParameters(layer) if isinstance(layer, WeightLayer) else nn.Identity() for layer in network.layers
        )
        owners: dict[str, WeightParameters] = {}
        for index, layer in enumerate(network.layers):
            if isinstance(layer, WeightLayer):
                parameters = self.weight_parameters(index)
                # Layers that share a weight tensor have one parameter, whose gradient is the sum over the layers.
                parameters.weight = owners.setdefault(network.weight_owners.of[layer.name], parameters).weight

    def forward(self, images: Tensor) -> Tensor:
        return joined_outputs(self.network, self._run(images, keep_all=False))

    def tensors(self, images: Tensor) -> dict[str, Tensor]:
        """Compute each activation tensor of the float network for a batch of images, [n, channels, height, width], by
        tensor name.

        Args:
            images: Normalised input images, [n, channels, height, width], or several inputs joined, [n, elements].
        """
        return self._run(images, keep_all=True)

    def weight_parameters(self, index: int) -> WeightParameters:
        """Return the trainable parameters of a layer with weights, given the layer's index in schedule order."""
        parameters = self.parameters_of[index]
        assert isinstance(parameters, WeightParameters)  # noqa: S101  # by construction
        return parameters

    def step(self, index: int, inputs: Sequence[Tensor], weight: Tensor | None = None) -> Tensor:
        """Compute the output of one layer of the float network, including its activation function; the arguments are
        those of `before_function`.
        """
        return clamped(self.before_function(index, inputs, weight), self.network.layers[index].activation)

    def before_function(self, index: int, inputs: Sequence[Tensor], weight: Tensor | None = None) -> Tensor:
        """Compute the output of one layer of the float network before its activation function.

        Args:
            index: Index of the layer in schedule order.
            inputs: The layer's input tensors, [n, channels, height, width].
            weight: Weight tensor to use instead of the layer's; None uses the layer's.
        """
        layer = self.network.layers[index]
        if not isinstance(layer, WeightLayer):
            return combined(layer, inputs)
        parameters = self.weight_parameters(index)
        if weight is None:
            weight = parameters.weight
        if not parameters.has_batch_norm:
            return convolved(inputs[0], weight, parameters.bias, layer)
        return parameters.normalised(convolved(inputs[0], weight, None, layer))

    def _run(self, images: Tensor, *, keep_all: bool) -> dict[str, Tensor]:
        return run_layers(self.network, input_tensors(images, self.network.inputs), self.step, keep_all=keep_all)


def combined(layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """Compute the output of a layer without weights in real numbers, before its activation function.

    Args:
        layer: An add, concat, pool, pad or activation layer.
        inputs: The layer's input tensors, [n, channels, height, width].

    Raises:
        InvalidNetwork: If the layer is of a kind that is not supported in training.
    """
    match layer:
        case Add():
            total = inputs[0] + inputs[1]
            for each in inputs[2:]:
                total = total + each
            return total
        case Concat():
            parts = inputs if layer.flattening is None else [_flattened(each, layer.flattening) for each in inputs]
            return torch.cat(list(parts), dim=1 + layer.axis.position)
        case MaxPool():
            return max_pooled(inputs[0], layer)
        case AveragePool():
            height, width = inputs[0].shape[2:]
            return window_sums(inputs[0], layer) / window_sizes(layer, height, width).to(inputs[0].device)
        case Pad():
            channels = (0, 0, 0, 0, layer.channels_before, layer.channels_after)
            return F.pad(padded(inputs[0], layer.padding), channels)
        case Activation():
            return inputs[0]
        case _:
            raise InvalidNetwork(
                f"layer '{layer.name}' is of kind '{layer.kind}', which training does not support; remove the layer or "
                "replace it by a supported kind (docs/operators.md)"
            )


def _flattened(values: Tensor, order: Flattening) -> Tensor:
    """Return images as vectors, [n, elements, 1, 1]."""
    if order is Flattening.CHANNELS_LAST:
        values = values.permute(0, 2, 3, 1)
    return values.flatten(1)[:, :, None, None]


def clamped(values: Tensor, function: ActivationFunction) -> Tensor:
    """Apply an activation function, which clamps the values to its interval [low, high]."""
    if function.is_linear:
        return values
    if function.low == 0.0 and math.isinf(function.high):
        return F.relu(values)
    return values.clamp(function.low, function.high)


def _copied(array: Float32Array) -> Tensor:
    """Copy a numpy array to a torch tensor; the arrays of a network are shared and may be read-only."""
    return torch.from_numpy(np.array(array, dtype=np.float32))
