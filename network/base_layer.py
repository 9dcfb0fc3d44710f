"""Base classes of all layers, with the activation function and the batch norm that are folded into a layer."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from network.errors import InvalidNetwork
from network.shapes import Shape

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ActivationFunction:
    """Activation function that clamps each element to [low, high]: ReLU is [0, inf], ReLU6 [0, 6], linear [-inf, inf].

    Attributes:
        low: Lower bound, 0 or less: padding and zero points need the real value 0 inside the interval.
        high: Upper bound, 0 or more, and not equal to `low`.

    Raises:
        InvalidNetwork: if the interval does not contain 0 or contains nothing else.
    """

    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= 0.0 <= self.high or self.low == self.high:
            raise InvalidNetwork(
                f"an activation function clamps to [{self.low}, {self.high}]; expected an interval that contains zero"
            )

    @property
    def is_linear(self) -> bool:
        """Whether an activation function is the identity."""
        return math.isinf(self.low) and math.isinf(self.high)


LINEAR = ActivationFunction()
RELU = ActivationFunction(low=0.0)
RELU6 = ActivationFunction(low=0.0, high=6.0)


@dataclass(frozen=True, slots=True, eq=False)
class BatchNorm:
    """Batch normalization: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta, for each channel.

    Attributes:
        gamma: Factor of each channel, float32 [channels].
        beta: Summand of each channel, float32 [channels].
        mean: Running mean of each channel, float32 [channels].
        variance: Running variance of each channel, float32 [channels], 0 or more.
        epsilon: Number that keeps the divisor above 0.
    """

    gamma: Float32Array
    beta: Float32Array
    mean: Float32Array
    variance: Float32Array
    epsilon: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer(ABC):
    """Base class of all layers of a network.

    Attributes:
        kind: Name of the layer kind, unique among all kinds.
        name: Name of the layer, unique in its network.
        inputs: Names of the activation tensors that the layer reads.
        output: Name of the activation tensor that the layer writes.
        activation: Activation function that is applied to the output.
    """

    kind: ClassVar[str]
    name: str
    inputs: tuple[str, ...]
    output: str
    activation: ActivationFunction = LINEAR

    @abstractmethod
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """Return the shape (channels, height, width) of the tensor that a layer writes.

        Args:
            inputs: Shapes of the tensors that the layer reads, in the order of `self.inputs`.

        Raises:
            InvalidNetwork: if the layer cannot read tensors of these shapes.
        """

    def _only(self, inputs: tuple[Shape, ...]) -> Shape:
        if len(inputs) != 1:
            raise self._mismatch(f"reads {len(inputs)} inputs; expected one input")
        return inputs[0]

    def _mismatch(self, what: str) -> InvalidNetwork:
        return InvalidNetwork(f"layer '{self.name}' ({self.kind}) {what}")


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightLayer(Layer):
    """Base class of the layers that read a weight tensor from flash.

    Attributes:
        output_channels: Number of channels of the output.
        weight: Weight tensor, float32 of the shape that `weight_shape` returns; None if only its size is known.
        bias: Bias, float32 [output_channels]; None if there is none.
        batch_norm: Batch norm behind the layer, with one entry for each output channel; None if there is none.
        shared_weight: Name that the layers which read the same weight tensor have in common; None if no other layer
            reads it (see `network.shared_weights`).
    """

    output_channels: int
    weight: Float32Array | None = None
    bias: Float32Array | None = None
    batch_norm: BatchNorm | None = None
    shared_weight: str | None = None

    @abstractmethod
    def weight_shape(self, inputs: tuple[Shape, ...]) -> tuple[int, ...]:
        """Return the shape of a layer's weight tensor, given the shapes of the layer's inputs."""

    def weight_layout(self, inputs: tuple[Shape, ...]) -> tuple[object, ...]:
        """Return what decides, in addition to kind and shape, in which order a layer's weights are stored in flash.

        Two layers of the same kind can share a weight tensor only if their values of this are equal.

        Args:
            inputs: Shapes of the tensors that the layer reads.
        """
        return inputs

    def multiply_accumulates(self, inputs: tuple[Shape, ...]) -> int:
        """Return a layer's number of multiply-accumulates per inference; those with padding elements are included."""
        output = self.output_shape(inputs)
        return math.prod(self.weight_shape(inputs)) * output.height * output.width

    def _check_parameters(self, weight_shape: tuple[int, ...]) -> None:
        if self.weight is not None and self.weight.shape != weight_shape:
            raise self._mismatch(
                f"has weights of shape {list(self.weight.shape)}; expected weights of shape {list(weight_shape)}"
            )
        per_channel = {"bias": self.bias}
        if self.batch_norm is not None:
            norm = self.batch_norm
            per_channel |= {"gamma": norm.gamma, "beta": norm.beta, "mean": norm.mean, "variance": norm.variance}
        for what, values in per_channel.items():
            if values is not None and values.shape != (self.output_channels,):
                raise self._mismatch(
                    f"has {what} of shape {list(values.shape)}; expected [{self.output_channels}], one number for each "
                    "output channel"
                )
        for what, values in {"weights": self.weight, **per_channel}.items():
            if values is not None and not np.isfinite(values).all():
                raise self._mismatch(f"has NaN or infinite values in its {what}; expected finite numbers")
        if self.batch_norm is not None and (self.batch_norm.variance < 0).any():
            raise self._mismatch("has a negative variance in its batch norm; expected 0 or more")
