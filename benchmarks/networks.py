"""The networks of the allocation benchmark: MobileNetV1, MobileNetV2, a U-Net and ResNet8.

    MobileNetV1   arXiv 1704.04861   a chain: a convolution, 13 times depthwise and pointwise, a mean, classes
    MobileNetV2   arXiv 1801.04381   inverted residual blocks: wide inside, with narrow linear ends that are added
    U-Net         arXiv 1505.04597   an encoder whose tensors stay alive until the decoder concatenates them
    ResNet8       MLPerf Tiny        residual blocks, trained, read from an ONNX file

The first three are built without weights, because the numbers of elements are enough to choose bits, or with random
weights from a seed.

No kind of layer upsamples, so the U-Net is a U-Net only in its tensors: instead of an upsampling that doubles height
and width, a `pad` with zeros writes a tensor of the same shape. The computed values are useless, but every tensor has
the size and the live range that it has in a U-Net, and the choice of bits depends only on these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from network.layers import (
    LINEAR,
    RELU,
    RELU6,
    ActivationFunction,
    Add,
    AveragePool,
    BatchNorm,
    Concat,
    Convolution,
    Float32Array,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    Padding,
    Shape,
)
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from network.reading import read_network

RESNET8_FILE: Final = Path(__file__).parents[2] / "shared" / "models" / "resnet8_cifar10.onnx"

MOBILENET_V1_WIDTHS: Final = (1.0, 0.75, 0.5, 0.25)
MOBILENET_V1_RESOLUTIONS: Final = (224, 192, 160, 128)
MOBILENET_V1_BLOCKS: Final = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip
"""Output channels of the pointwise convolution at width 1, and stride of the depthwise convolution, for each block."""

MOBILENET_V2_BLOCKS: Final = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
"""Expansion, output channels at width 1, number of blocks, and stride of the first block."""


def mobilenet_v1(width: float = 1.0, resolution: int = 224, classes: int = 1000, *, seed: int | None = None) -> Network:
    """Build MobileNetV1 for square images, with 28 weight layers, and with random weights if a seed is given."""
    grown = _Growth(f"mobilenet_v1_{width}_{resolution}", Shape(3, resolution, resolution), RELU6, seed)
    trunk = grown.convolution("conv0", "input", int(32 * width), 3, stride=2)
    for index, (channels, stride) in enumerate(MOBILENET_V1_BLOCKS, start=1):
        trunk = grown.depthwise(f"conv{index}_dw", trunk, stride)
        trunk = grown.convolution(f"conv{index}_pw", trunk, int(channels * width), 1)
    return grown.classified(trunk, classes)


def mobilenet_v2(width: float = 1.0, resolution: int = 224, classes: int = 1000, *, seed: int | None = None) -> Network:
    """Build MobileNetV2 for square images, with 53 weight layers and 10 adds; a seed gives random weights."""
    grown = _Growth(f"mobilenet_v2_{width}_{resolution}", Shape(3, resolution, resolution), RELU6, seed)
    trunk = grown.convolution("stem", "input", _in_eights(32 * width), 3, stride=2)
    for group, (expansion, channels, blocks, first_stride) in enumerate(MOBILENET_V2_BLOCKS):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            name = f"block{group}_{block}"
            trunk = _inverted_residual(grown, name, trunk, expansion, _in_eights(channels * width), stride)
    trunk = grown.convolution("last", trunk, _in_eights(1280 * max(width, 1.0)), 1)
    return grown.classified(trunk, classes)


def _inverted_residual(
    grown: _Growth, name: str, source: str, expansion: int, channels: int, stride: int
) -> str:  # fmt: skip
    inside = source
    narrow = grown.shapes[source].channels
    if expansion > 1:
        inside = grown.convolution(f"{name}_expand", source, narrow * expansion, 1)
    inside = grown.depthwise(f"{name}_depthwise", inside, stride)
    projected = grown.convolution(f"{name}_project", inside, channels, 1, activation=LINEAR)
    if stride > 1 or narrow != channels:
        return projected
    return grown.add(Add(name=f"{name}_add", inputs=(source, projected), output=f"{name}_add"))


def _in_eights(channels: float) -> int:
    """Round a number of channels to a multiple of 8, at least 8 and at least 9/10 of it, as the MobileNet code does."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def unet(
    channels: int = 16, depth: int = 3, resolution: int = 96, classes: int = 2, *, seed: int | None = None
) -> Network:
    """Build a network whose tensors have the sizes and live ranges of a U-Net with "same" padding.

    Args:
        channels: Number of channels of the first level; each level below has twice as many.
        depth: Number of times that the image is halved, and of tensors that are alive at the lowest level.
        resolution: Height and width of the image, a multiple of 2^depth.
        classes: Number of channels of the output.
        seed: Seed of random weights; None for no weights.
    """
    grown = _Growth(f"unet_{channels}_{resolution}", Shape(3, resolution, resolution), RELU, seed)
    trunk = "input"
    skips = []
    for level in range(depth):
        trunk = _two_convolutions(grown, f"down{level}", trunk, channels << level)
        skips.append(trunk)
        pool = f"pool{level}"
        trunk = grown.add(MaxPool(name=pool, inputs=(trunk,), output=pool, kernel=(2, 2), stride=(2, 2)))
    trunk = _two_convolutions(grown, "bottom", trunk, channels << depth)
    for level in reversed(range(depth)):
        trunk = grown.convolution(f"up{level}_narrow", trunk, channels << level, 1, activation=LINEAR)
        side = grown.shapes[trunk].height // 2
        wide, joined = f"up{level}_wide", f"up{level}_join"
        trunk = grown.add(Pad(name=wide, inputs=(trunk,), output=wide, padding=Padding(*(side,) * 4)))
        trunk = grown.add(Concat(name=joined, inputs=(skips[level], trunk), output=joined))
        trunk = _two_convolutions(grown, f"up{level}", trunk, channels << level)
    grown.convolution("classes", trunk, classes, 1, activation=LINEAR)
    return grown.network()


def _two_convolutions(grown: _Growth, name: str, source: str, channels: int) -> str:
    return grown.convolution(f"{name}_second", grown.convolution(f"{name}_first", source, channels, 3), channels, 3)


def resnet8() -> Network:
    """Read MLPerf Tiny's ResNet8 with its trained weights from its ONNX file.

    Raises:
        FileNotFoundError: if its file is missing.
    """
    return read_network(RESNET8_FILE.read_bytes(), "resnet8_cifar10")


def catalogue() -> Mapping[str, Callable[[], Network]]:
    """Return the functions that build the networks of the allocation benchmark, by the name of the network."""
    found: dict[str, Callable[[], Network]] = {
        f"mobilenet_v1_{width}_{resolution}": partial(mobilenet_v1, width, resolution)
        for width in MOBILENET_V1_WIDTHS
        for resolution in MOBILENET_V1_RESOLUTIONS
    }
    return found | {
        "mobilenet_v2_1.0_224": mobilenet_v2,
        "mobilenet_v2_0.35_96": partial(mobilenet_v2, 0.35, 96),
        "unet_16_96": unet,
        "resnet8_cifar10": resnet8,
    }


class _Growth:
    """Builder of a network, layer by layer; every tensor except the input has the name of the layer that writes it."""

    def __init__(self, name: str, input_shape: Shape, activation: ActivationFunction, seed: int | None) -> None:
        self._name = name
        self._layers: list[Layer] = []
        self._activation = activation
        self._generator = None if seed is None else np.random.default_rng(seed)
        self.shapes = {"input": input_shape}

    def add(self, layer: Layer) -> str:
        self.shapes[layer.output] = layer.output_shape(tuple(self.shapes[tensor] for tensor in layer.inputs))
        self._layers.append(layer)
        return layer.output

    def convolution(
        self, name: str, source: str, channels: int, kernel: int, *, stride: int = 1, groups: int = 1,
        activation: ActivationFunction | None = None,
    ) -> str:  # fmt: skip
        return self.add(
            Convolution(
                name=name, inputs=(source,), output=name, activation=activation or self._activation,
                output_channels=channels, kernel=(kernel, kernel), stride=(stride, stride),
                padding=Padding(*(kernel // 2,) * 4), groups=groups,
                weight=self._weight(channels, self.shapes[source].channels // groups, kernel, kernel),
                batch_norm=self._batch_norm(channels),
            )
        )  # fmt: skip

    def depthwise(self, name: str, source: str, stride: int) -> str:
        channels = self.shapes[source].channels
        return self.convolution(name, source, channels, 3, stride=stride, groups=channels)

    def classified(self, trunk: str, classes: int) -> Network:
        """Add a mean over the image and a fully connected layer for the classes, and return the network."""
        channels, height, width = self.shapes[trunk]
        mean = self.add(AveragePool(name="mean", inputs=(trunk,), output="mean", kernel=(height, width)))
        bias = None if self._generator is None else np.zeros(classes, dtype=np.float32)
        self.add(
            FullyConnected(
                name="classes", inputs=(mean,), output="classes", output_channels=classes,
                weight=self._weight(classes, channels), bias=bias,
            )
        )  # fmt: skip
        return self.network()

    def network(self) -> Network:
        """Return the network with the layers added so far; its output is the output of the last layer."""
        shape = self.shapes["input"]
        layers = tuple(self._layers)
        given = NetworkInput("input", shape, InputFormat(tuple(shape)))
        return Network(self._name, (given,), layers, (layers[-1].output,))

    def _weight(self, *shape: int) -> Float32Array | None:
        if self._generator is None:
            return None
        scale = np.sqrt(2 / np.prod(shape[1:]))
        weight: Float32Array = (self._generator.standard_normal(shape) * scale).astype(np.float32)
        return weight

    def _batch_norm(self, channels: int) -> BatchNorm | None:
        if self._generator is None:
            return None
        gamma, variance = self._generator.uniform(0.5, 1.5, (2, channels)).astype(np.float32)
        beta, mean = self._generator.uniform(-0.5, 0.5, (2, channels)).astype(np.float32)
        return BatchNorm(gamma, beta, mean, variance, 1e-3)
