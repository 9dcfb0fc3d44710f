"""A small network in the shape of MobileNetV2 (arXiv 1801.04381) for images of 32 x 32 pixels, as a torch module.

As in MobileNetV2, blocks are narrow outside and six times as wide inside, their narrow ends are linear and added where
stride and channels allow, every convolution has batch norm, and ReLU6 follows all but the linear ends. Because the
images are small, the first convolution has stride 1, and the image is halved three times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn

STEM_CHANNELS: Final = 16
BLOCKS: Final = ((1, 8, 1, 1), (6, 16, 2, 2), (6, 32, 3, 2), (6, 64, 3, 2))
"""Expansion, output channels, number of blocks, and stride of the first block, as in table 2 of the paper."""
LAST_CHANNELS: Final = 256
PIXEL_SCALE: Final = 1 / 64
"""Factor by which pixels, 0 to 255, are multiplied in training. The ONNX file has it in its first weights instead."""


class ConvolutionUnit(nn.Module):
    """Convolution without bias, batch norm, and ReLU6 unless the end is linear.

    forward: [n, inputs, h, w] to [n, outputs, h / stride, w / stride].

    Args:
        name: The name of the layer in the ONNX file.
        inputs: Number of input channels.
        outputs: Number of output channels.
        kernel: Height and width of the kernel, an odd number.
        stride: Stride of the convolution.
        is_depthwise: Whether every channel has a kernel of its own.
        is_linear: Whether no ReLU6 follows.
    """

    def __init__(
        self, name: str, inputs: int, outputs: int, kernel: int, stride: int = 1,
        *, is_depthwise: bool = False, is_linear: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.name = name
        self.is_linear = is_linear
        self.convolution = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=inputs if is_depthwise else 1, bias=False
        )
        self.batch_norm = nn.BatchNorm2d(outputs)

    def forward(self, images: Tensor) -> Tensor:
        sums: Tensor = self.batch_norm(self.convolution(images))
        return sums if self.is_linear else nn.functional.relu6(sums)


class InvertedResidual(nn.Module):
    """Inverted residual block: pointwise expansion, depthwise convolution, linear projection, and an add.

    forward: [n, inputs, h, w] to [n, outputs, h / stride, w / stride].

    Args:
        name: The beginning of the names of its layers in the ONNX file.
        inputs: Number of input channels.
        outputs: Number of output channels.
        expansion: Number of channels inside, as a multiple of the input channels; 1 has no expansion layer.
        stride: Stride of the depthwise convolution.
    """

    def __init__(self, name: str, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        self.name = name
        wide = inputs * expansion
        self.units = nn.Sequential()
        if expansion > 1:
            self.units.append(ConvolutionUnit(f"{name}_expand", inputs, wide, 1))
        self.units.append(ConvolutionUnit(f"{name}_depthwise", wide, wide, 3, stride, is_depthwise=True))
        self.units.append(ConvolutionUnit(f"{name}_project", wide, outputs, 1, is_linear=True))
        self.has_add = stride == 1 and inputs == outputs

    def units_in_order(self) -> Iterator[ConvolutionUnit]:
        """Yield the convolutions in the order in which they run."""
        for unit in self.units:
            assert isinstance(unit, ConvolutionUnit)  # noqa: S101  # for the type checker
            yield unit

    def forward(self, images: Tensor) -> Tensor:
        projected: Tensor = self.units(images)
        return images + projected if self.has_add else projected


class MobileNetV2(nn.Module):
    """The whole network: first convolution, inverted residual blocks, last convolution, mean and classes.

    forward: from pixels times `PIXEL_SCALE`, [n, 3, 32, 32], to logits, [n, classes].

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = ConvolutionUnit("stem", 3, STEM_CHANNELS, 3)
        self.blocks = nn.Sequential(*_blocks())
        self.last = ConvolutionUnit("last", BLOCKS[-1][1], LAST_CHANNELS, 1)
        self.classes = nn.Linear(LAST_CHANNELS, classes)

    def blocks_in_order(self) -> Iterator[InvertedResidual]:
        """Yield the inverted residual blocks in the order in which they run."""
        for block in self.blocks:
            assert isinstance(block, InvertedResidual)  # noqa: S101  # for the type checker
            yield block

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.last(self.blocks(self.stem(images)))
        logits: Tensor = self.classes(torch.mean(features, dim=(2, 3)))
        return logits


def _blocks() -> Iterator[InvertedResidual]:
    inputs = STEM_CHANNELS
    for group, (expansion, outputs, blocks, first_stride) in enumerate(BLOCKS):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            yield InvertedResidual(f"block{group}_{block}", inputs, outputs, expansion, stride)
            inputs = outputs
