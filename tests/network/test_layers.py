"""Shapes that layers write, and networks that contradict themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.errors import InvalidNetwork
from network.layers import (
    Activation,
    ActivationFunction,
    Add,
    AveragePool,
    BatchNorm,
    Concat,
    Convolution,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    Padding,
    Shape,
    WeightLayer,
)
from network.padding import same_padding

SIDE: dict[str, Any] = {"name": "side", "inputs": ("x",), "output": "y"}
IMAGE = Shape(4, 8, 6)

SHAPES: list[tuple[Layer, tuple[Shape, ...], Shape]] = [
    (Convolution(**SIDE, output_channels=5, kernel=(3, 3)), (IMAGE,), Shape(5, 6, 4)),
    (Convolution(**SIDE, output_channels=5, kernel=(3, 3), padding=Padding(1, 1, 1, 1)), (IMAGE,), Shape(5, 8, 6)),
    (Convolution(**SIDE, output_channels=4, kernel=(3, 1), stride=(2, 1), groups=4), (IMAGE,), Shape(4, 3, 6)),
    (Convolution(**SIDE, output_channels=5, kernel=(3, 3), dilation=(3, 2)), (IMAGE,), Shape(5, 2, 2)),
    (Convolution(**SIDE, output_channels=5, kernel=(2, 2), stride=(2, 2), padding=Padding(0, 0, 1, 1)),
     (Shape(4, 7, 7),), Shape(5, 4, 4)),
    (FullyConnected(**SIDE, output_channels=10), (IMAGE,), Shape(10)),
    (Add(**SIDE), (IMAGE, IMAGE, IMAGE), IMAGE),
    (Concat(**SIDE), (IMAGE, Shape(1, 8, 6)), Shape(5, 8, 6)),
    (MaxPool(**SIDE, kernel=(2, 2), stride=(2, 2)), (IMAGE,), Shape(4, 4, 3)),
    (MaxPool(**SIDE, kernel=(3, 3), stride=(2, 2), padding=Padding(1, 1, 1, 1)), (IMAGE,), Shape(4, 4, 3)),
    (AveragePool(**SIDE, kernel=(8, 6)), (IMAGE,), Shape(4, 1, 1)),
    (Pad(**SIDE, padding=Padding(1, 2, 3, 4), channels_before=1, channels_after=2), (IMAGE,), Shape(7, 12, 12)),
    (Activation(**SIDE), (IMAGE,), IMAGE),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "inputs", "output"), SHAPES)
def test_output_shape(layer: Layer, inputs: tuple[Shape, ...], output: Shape) -> None:
    assert layer.output_shape(inputs) == output


WEIGHTS: list[tuple[WeightLayer, tuple[int, ...], int]] = [
    # layer over 4x8x6, shape of its weights, multiplications
    (Convolution(**SIDE, output_channels=5, kernel=(3, 3)), (5, 4, 3, 3), 5 * 4 * 9 * 24),
    (Convolution(**SIDE, output_channels=8, kernel=(1, 1), groups=4), (8, 1, 1, 1), 8 * 48),
    (FullyConnected(**SIDE, output_channels=10), (10, 192), 1920),
]


@pytest.mark.parametrize(("layer", "weight_shape", "multiplications"), WEIGHTS)
def test_weights(layer: WeightLayer, weight_shape: tuple[int, ...], multiplications: int) -> None:
    assert layer.weight_shape((IMAGE,)) == weight_shape
    assert layer.multiply_accumulates((IMAGE,)) == multiplications


def test_depthwise() -> None:
    layer = Convolution(**SIDE, output_channels=8, kernel=(3, 3), groups=4)
    assert layer.is_depthwise(IMAGE)
    assert not layer.is_depthwise(Shape(8, 8, 8))


def norm(channels: int, variance: float = 1.0) -> BatchNorm:
    ones = np.ones(channels, np.float32)
    return BatchNorm(gamma=ones, beta=ones, mean=ones, variance=ones * np.float32(variance), epsilon=0.1)


MISMATCHES: list[tuple[Layer, tuple[Shape, ...], str]] = [
    (Convolution(**SIDE, output_channels=5, kernel=(9, 1)), (IMAGE,), "does not fit"),
    (Convolution(**SIDE, output_channels=5, kernel=(1, 1), groups=2), (IMAGE,), "groups"),
    (Convolution(**SIDE, output_channels=6, kernel=(1, 1), groups=3), (IMAGE,), "groups"),
    (Convolution(**SIDE, output_channels=5, kernel=(1, 1), stride=(0, 1)), (IMAGE,), "1 or more"),
    (Convolution(**SIDE, output_channels=5, kernel=(1, 1), padding=Padding(-1)), (IMAGE,), "0 or more"),
    (Convolution(**SIDE, output_channels=5, kernel=(1, 1)), (IMAGE, IMAGE), "one input"),
    (Convolution(**SIDE, output_channels=1, kernel=(1, 1), weight=np.zeros((1, 3, 1, 1), np.float32)), (IMAGE,),
     "[1, 3, 1, 1]; expected weights of shape [1, 4, 1, 1]"),
    (FullyConnected(**SIDE, output_channels=2, bias=np.zeros(3, np.float32)), (IMAGE,), "bias"),
    (FullyConnected(**SIDE, output_channels=2, bias=np.array([0, np.nan], np.float32)), (IMAGE,), "NaN"),
    (FullyConnected(**SIDE, output_channels=2, weight=np.full((2, 192), np.inf, np.float32)), (IMAGE,), "NaN"),
    (FullyConnected(**SIDE, output_channels=2, batch_norm=norm(3)), (IMAGE,), "gamma"),
    (FullyConnected(**SIDE, output_channels=2, batch_norm=norm(2, -1)), (IMAGE,), "negative variance"),
    (Add(**SIDE), (IMAGE,), "two inputs"),
    (Add(**SIDE), (IMAGE, Shape(4, 6, 8)), "4x8x6 and 4x6x8"),
    (Concat(**SIDE), (), "no input"),
    (Concat(**SIDE), (IMAGE, Shape(4, 8, 7)), "same height and width"),
    (MaxPool(**SIDE, kernel=(2, 2), padding=Padding(2)), (IMAGE,), "only padding"),
    (MaxPool(**SIDE, kernel=(2, 9)), (IMAGE,), "does not fit"),
    (Pad(**SIDE, padding=Padding(-1)), (IMAGE,), "crop"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "inputs", "said"), MISMATCHES)
def test_mismatch_names_the_layer(layer: Layer, inputs: tuple[Shape, ...], said: str) -> None:
    with pytest.raises(InvalidNetwork) as caught:
        layer.output_shape(inputs)
    assert "layer 'side'" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(("low", "high"), [(1, 2), (-2, -1), (0, 0), (3, -3), (math.nan, 1)])
def test_activation_functions_keep_an_interval_around_zero(low: float, high: float) -> None:
    with pytest.raises(InvalidNetwork, match="interval that contains zero"):
        ActivationFunction(low, high)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_same_padding_keeps_size_over_stride(size: int, kernel: int, stride: int, dilation: int, before: bool) -> None:
    shape = Shape(1, size, 1)
    padding = same_padding(shape, (kernel, 1), (stride, 1), (dilation, 1), odd_one_before=before)

    def positions(total: int) -> int:
        return (size + total - (dilation * (kernel - 1) + 1)) // stride + 1

    total = padding.top + padding.bottom
    assert positions(total) >= -(-size // stride)
    assert total == 0 or positions(total - 1) < -(-size // stride)
    odd = padding.top - padding.bottom if before else padding.bottom - padding.top
    assert odd == total % 2
    assert padding.left == padding.right == 0
