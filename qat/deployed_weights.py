"""Integer constants of a layer with weights on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, Requantization
from qat.quantizers.fake_quantize import Grid

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DeployedWeights:
    """Constants of a layer with weights and c output channels on the device: weight codes, factors and biases.

    Attributes:
        codes: Weight codes q_w, uint8, in the shape of the weight tensor.
        zero_point: Zero point z_w of the weights, int64 [1] or [c].
        scale: Scale s_w of the weights, float64 [1] or [c]; negative for a channel whose weights decrease with the
            code.
        factor: Factor from the accumulator to multiples of the output's step, float64 [1] or [c].
        offset: Value added to factor * accumulator, in multiples of the output's step, not rounded, float64 [c].
        bias: The offset in multiples of the accumulator's step, rounded, float64 [c]; 0 for channels not in `on_grid`.
        on_grid: Whether an int32 bias can represent the channel's offset, bool [c]. The output of any other channel
            must not depend on the input.
        lowest: Smallest accumulator without bias over all possible inputs, int64 [c].
        highest: Largest accumulator without bias over all possible inputs, int64 [c].
        added_error: Bound of the error in output steps that the encoding of a narrow layer adds, float64 [c]; 0 if the
            layer is wide.
        narrow: The multipliers of 16 bits and their one shift, from which `factor` follows, [1] or [c]; None if the
            layer is wide. In a narrow layer, codes, bias and factor are as encoded, and `on_grid` is true.
        wide_because: Reason why the layer is wide; empty if it is narrow.
    """

    codes: CodeArray
    zero_point: npt.NDArray[np.int64]
    scale: DoubleArray
    factor: DoubleArray
    offset: DoubleArray
    bias: DoubleArray
    on_grid: npt.NDArray[np.bool_]
    lowest: npt.NDArray[np.int64]
    highest: npt.NDArray[np.int64]
    added_error: DoubleArray
    narrow: Requantization | None = None
    wide_because: str = ""

    @property
    def centred(self) -> npt.NDArray[np.int64]:
        """Weight codes minus zero point, q_w - z_w, in the shape of the weight tensor."""
        broadcastable = (-1,) + (1,) * (self.codes.ndim - 1)
        return self.codes.astype(np.int64) - self.zero_point.reshape(broadcastable)


def accumulator_ends(steps: npt.NDArray[np.int64], source: Grid) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the smallest and the largest accumulator of each output channel over all inputs, int64 [c].

    Args:
        steps: Weight codes minus zero point, int64 [c, taps].
        source: Quantization grid of the layer's input.
    """
    positive, negative = np.maximum(steps, 0).sum(axis=1), np.minimum(steps, 0).sum(axis=1)
    lowest = positive * source.lowest_step + negative * source.highest_step
    return lowest, positive * source.highest_step + negative * source.lowest_step
