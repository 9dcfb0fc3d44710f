"""The float network as a torch module: what the network's file computes, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor, nn

from network.errors import InvalidNetwork
from network.layers import (
    Activation,
    ActivationFunction,
    Add,
    AveragePool,
    Concat,
    Float32Array,
    Layer,
    MaxPool,
    Pad,
    WeightLayer,
)
from network.network import Network
from qat.graph import Schedule
from qat.windows import convolved, max_pooled, padded, window_sizes, window_sums


class WeightParameters(nn.Module):
    """What a weight layer learns, batch norm beside the weights.

    A bias in front of a batch norm only shifts the mean that is subtracted: it is taken into the running mean, so that
    there is either a bias or a batch norm, never both.
    """

    def __init__(self, layer: WeightLayer) -> None:
        super().__init__()
        if layer.weight is None:
            raise InvalidNetwork(
                f"layer '{layer.name}' has no weights; give an ONNX file, or JSON with weights: only bits can be chosen"
                " without them"
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
                f"layer '{layer.name}' has a batch norm of variance 0 and epsilon 0, which divides by 0"
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
        """gamma / sigma on the running statistics, [c]: what batch norm multiplies by."""
        return self.gamma / torch.sqrt(self.variance + self.epsilon)

    def normalised(self, sums: Tensor, *, momentum: float | None = None) -> Tensor:
        """Batch norm of a convolution's sums.

        Args:
            sums: [n, c, h, w].
            momentum: normalise by the batch's own statistics, which the running ones follow this fast; None uses the
                running statistics and leaves them.
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
    """A network in float32, on its running statistics.

    forward: [n, c, h, w] input tensors, normalised -> [n, elements], the first output, flattened.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self._schedule = Schedule(network)
        self.parameters_of = nn.ModuleList(
            WeightParameters(layer) if isinstance(layer, WeightLayer) else nn.Identity() for layer in network.layers
        )

    def forward(self, images: Tensor) -> Tensor:
        return self._run(images, keep_all=False)[self.network.outputs[0]].flatten(1)

    def tensors(self, images: Tensor) -> dict[str, Tensor]:
        """Every activation tensor, [n, c, h, w], by its name."""
        return self._run(images, keep_all=True)

    def weight_parameters(self, index: int) -> WeightParameters:
        """What the layer of that index, one with weights, holds."""
        parameters = self.parameters_of[index]
        assert isinstance(parameters, WeightParameters)  # noqa: S101  # by construction
        return parameters

    def step(self, index: int, inputs: Sequence[Tensor], weight: Tensor | None = None) -> Tensor:
        """What one layer computes; see `before_function`."""
        return clamped(self.before_function(index, inputs, weight), self.network.layers[index].activation)

    def before_function(self, index: int, inputs: Sequence[Tensor], weight: Tensor | None = None) -> Tensor:
        """What one layer computes, its activation function left out.

        Args:
            index: of the layer.
            inputs: the tensors that it reads, [n, c, h, w].
            weight: in place of its own.
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
        return self._schedule.run(images, self.step, keep_all=keep_all)


def combined(layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
    """What a layer without weights computes from real values, before its activation function."""
    match layer:
        case Add():
            total = inputs[0] + inputs[1]
            for each in inputs[2:]:
                total = total + each
            return total
        case Concat():
            return torch.cat(list(inputs), dim=1)
        case MaxPool():
            return max_pooled(inputs[0], layer)
        case AveragePool():
            height, width = inputs[0].shape[2:]
            return window_sums(inputs[0], layer) / window_sizes(layer, height, width)
        case Pad():
            channels = (0, 0, 0, 0, layer.channels_before, layer.channels_after)
            return F.pad(padded(inputs[0], layer.padding), channels)
        case Activation():
            return inputs[0]
        case _:
            raise InvalidNetwork(f"layer '{layer.name}' is of kind '{layer.kind}', which is not trained here")


def clamped(values: Tensor, function: ActivationFunction) -> Tensor:
    """The activation function."""
    if function.is_linear:
        return values
    if function.low == 0.0 and math.isinf(function.high):
        return F.relu(values)
    return values.clamp(function.low, function.high)


def _copied(array: Float32Array) -> Tensor:
    """A tensor of its own: a network's arrays are shared and may be read-only."""
    return torch.from_numpy(np.array(array, dtype=np.float32))
