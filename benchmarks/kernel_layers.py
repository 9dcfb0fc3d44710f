"""Layers that the benchmark of kernels runs, with the goals and the figures of other libraries for them.

Figures are executed instructions for each multiply-accumulate operation, counted under QEMU in the same way, with GCC
12.2 at -O3 (CMSIS-NN, CMix-NN: see docs/benchmarks/kernels.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from network.allocation import Bits
from network.kernel_functions import Form, functions_of, is_depthwise_3x3
from network.kernels import DEPTHWISE, POINTWISE

CONVOLUTION: Final = "convolution"
FULLY_CONNECTED: Final = "fully_connected"

LayerBits = tuple[Bits, Bits, Bits]
"""Numbers of bits of input, weights and output of a layer."""


@dataclass(frozen=True, slots=True)
class KernelLayer:
    """A layer of the benchmark: stride 1, padding that keeps the extent.

    Attributes:
        kernel: Name of the layer's kernel, e.g. "pointwise_convolution".
        extent: Height and width of input and output.
        channels: Number of input channels.
        outputs: Number of output channels.
        kernel_size: Height and width of the kernel.
        bits: Numbers of bits of input, weights and output.
        goal: Largest number of instructions for each multiply-accumulate operation on a Cortex-M4; None: no goal.
    """

    kernel: str
    extent: int
    channels: int
    outputs: int
    kernel_size: int
    bits: LayerBits
    goal: float | None = None

    @property
    def shape(self) -> str:
        """Text of the layer's extents, e.g. "16x16x64 -> 64"."""
        if self.kernel == FULLY_CONNECTED:
            return f"{self.channels} -> {self.outputs}"
        return f"{self.extent}x{self.extent}x{self.channels} -> {self.outputs}"

    @property
    def taps(self) -> int:
        """Number of weights of an output channel."""
        return self.kernel_size**2 * (1 if self.kernel == DEPTHWISE else self.channels)

    @property
    def operations(self) -> int:
        """Number of multiply-accumulate operations, padding included."""
        return self.extent**2 * self.outputs * self.taps

    @property
    def shift(self) -> int:
        """Second shift s for which the outputs of random codes spread over most of the output's range."""
        spread = math.sqrt(self.taps) * 74 * 0.29 * 2 ** self.bits[1] * 0.375
        return max(1, round(math.log2(spread / (0.23 * 2 ** self.bits[2]))))

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the C functions that run the layer: the driver, then widen, dot and pack."""
        size, one = (self.kernel_size, self.kernel_size), (1, 1)
        names = functions_of(self.kernel, *self.bits, Form.NARROW, is_3x3=is_depthwise_3x3(size, one, one, 1))
        if self.bits[:2] != (2, 2) or self.kernel == DEPTHWISE:
            return names
        return tuple(f"{each}x2" if each.startswith(("bb_widen", "bb_dot")) else each for each in names)


def _layers() -> tuple[KernelLayer, ...]:
    pointwise: dict[LayerBits, float | None] = {
        (8, 8, 8): 1.06,
        (8, 4, 8): 1.03,
        (8, 2, 8): 1.0,
        (4, 4, 4): None,
        (2, 2, 8): 0.7,
        (2, 2, 2): 0.7,
    }
    weights: tuple[LayerBits, ...] = ((8, 8, 8), (8, 4, 8), (8, 2, 8))
    depthwise: dict[LayerBits, float] = {(8, 8, 8): 1.55, (8, 4, 8): 1.6, (4, 4, 4): 1.6, (2, 2, 2): 1.6}
    packed: tuple[LayerBits, ...] = ((2, 2, 2),)
    return (
        *(KernelLayer(POINTWISE, 16, 64, 64, 1, bits, goal) for bits, goal in pointwise.items()),
        *(KernelLayer(CONVOLUTION, extent, channels, channels, 3, bits, 1.2)
          for extent, channels in ((32, 16), (16, 32), (8, 64)) for bits in (*weights, *packed)),
        *(KernelLayer(CONVOLUTION, 32, 3, 16, 3, bits) for bits in weights),
        *(KernelLayer(FULLY_CONNECTED, 1, channels, 128, 1, bits, 1.35)
          for channels in (640, 128) for bits in (*weights, *packed)),
        *(KernelLayer(POINTWISE, extent, channels, outputs, 1, bits)
          for extent, channels, outputs in ((48, 8, 16), (24, 16, 32), (3, 256, 256)) for bits in weights),
        *(KernelLayer(DEPTHWISE, 16, 64, 64, 3, bits, goal) for bits, goal in depthwise.items()),
    )  # fmt: skip


LAYERS: Final = _layers()
"""The layers of the benchmark; the first of each kind has the shape for which other libraries were measured."""

PEERS: Final[Mapping[str, Mapping[tuple[str, LayerBits], str]]] = {
    "cortex-m4": {
        (POINTWISE, (8, 8, 8)): "CMSIS-NN 2.07, CMix-NN 2.29",
        (POINTWISE, (8, 4, 8)): "CMSIS-NN 3.73, CMix-NN 2.52",
        (POINTWISE, (8, 2, 8)): "CMix-NN 2.63",
        (POINTWISE, (4, 4, 4)): "CMix-NN 2.51",
        (POINTWISE, (2, 2, 2)): "CMix-NN 2.74",
        (DEPTHWISE, (8, 8, 8)): "CMSIS-NN 7.96 to 8.61, CMix-NN 11.58",
        (DEPTHWISE, (8, 4, 8)): "CMSIS-NN 15.76",
    },
    "cortex-m7": {
        (POINTWISE, (8, 8, 8)): "CMSIS-NN 2.03, CMix-NN 2.41",
        (POINTWISE, (8, 4, 8)): "CMSIS-NN 3.75, CMix-NN 2.54",
        (POINTWISE, (8, 2, 8)): "CMix-NN 2.66",
        (POINTWISE, (4, 4, 4)): "CMix-NN 2.54",
        (POINTWISE, (2, 2, 2)): "CMix-NN 2.75",
        (DEPTHWISE, (8, 8, 8)): "CMSIS-NN 8.48, CMix-NN 11.49",
        (DEPTHWISE, (8, 4, 8)): "CMSIS-NN 15.79",
    },
    "cortex-m55": {
        (POINTWISE, (8, 8, 8)): "CMSIS-NN 0.393",
        (POINTWISE, (8, 4, 8)): "CMSIS-NN 0.636",
        (DEPTHWISE, (8, 8, 8)): "CMSIS-NN 2.300",
        (DEPTHWISE, (8, 4, 8)): "CMSIS-NN 2.784",
    },
}
"""Core -> kernel and bits -> instructions for each operation of other libraries, for the first shape of the kernel."""
