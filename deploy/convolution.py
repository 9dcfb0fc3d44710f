"""Execution of integer convolutions: exact integer sums, computed by floating-point matrix products.

A float32 represents every integer up to 2^24 exactly, and a float64 up to 2^53. If `proof.product_bound` shows that no
partial sum exceeds this limit in any order of addition, then no addition rounds, and the result is the exact integer.
The bias and the requantization, or the comparison with thresholds, are computed in 64-bit integers.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, IntArray, requantize
from deploy.blocks import blocks
from deploy.integer_network import IntegerConvolution, IntegerTensor
from deploy.proof import product_bound
from deploy.thresholds import reached_codes
from deploy.windows import padded, window_view

FLOAT32_EXACT: Final = 2**24
"""Largest magnitude up to which a float32 represents every integer exactly."""

BLOCK_BYTES: Final = 2 * 2**20
"""Size in bytes of one block of im2col columns, which stays in the cache of a core until it is multiplied."""

FloatMatrix = npt.NDArray[Any]


class ConvolutionExecutor:
    """Executor of one integer convolution; it converts the weights to floating point once, when it is created.

    Args:
        layer: The convolution or fully connected layer.
        layer_input: The input tensor of the layer.
        output: The output tensor of the layer.

    Attributes:
        sum_type: The type of the sums: float32 if it is exact for this layer, else float64.
    """

    def __init__(self, layer: IntegerConvolution, layer_input: IntegerTensor, output: IntegerTensor) -> None:
        self._layer = layer
        self._input = layer_input
        self._output = output
        self.sum_type: type[np.floating[Any]] = (
            np.float32 if product_bound(layer, layer_input) <= FLOAT32_EXACT else np.float64
        )
        zero_points = layer.weight_zero_point.astype(np.int64)[:, None, None, None]
        self._weights = (layer.codes.astype(np.int64) - zero_points).astype(self.sum_type)
        self._bias = layer.bias.astype(np.int64)

    def __call__(self, codes: CodeArray) -> CodeArray:
        """Compute the output codes of the convolution from its input codes.

        Args:
            codes: The input codes, uint8 [n, height, width, channels].

        Returns:
            The output codes, uint8 [n, output height, output width, output channels].
        """
        layer, output = self._layer, self._output
        result = np.empty((len(codes), output.shape.height, output.shape.width, output.shape.channels), dtype=np.uint8)
        images_per_block, rows_per_block = self._block_extents()
        for images in blocks(len(codes), images_per_block):
            # After the zero point is subtracted, real zero is 0, so padding with 0 adds nothing to the sums.
            steps = codes[images].astype(self.sum_type) - self.sum_type(self._input.zero_point)
            windows = window_view(padded(steps, layer.padding, 0), layer.kernel, layer.stride, layer.dilation)
            for rows in blocks(output.shape.height, rows_per_block):
                sums = self._sums(windows[:, rows]).astype(np.int64)
                result[images, rows] = self._codes(sums)
        return result

    def _codes(self, sums: IntArray) -> CodeArray:
        """Convert a convolution's sums of products [n, rows, columns, output channels] to output codes; the sums are
        overwritten.
        """
        if self._layer.thresholds is not None:
            return reached_codes(sums, self._layer.thresholds)
        sums += self._bias
        return requantize(sums, self._layer.requantization, self._output.zero_point, self._output.bits)

    def _block_extents(self) -> tuple[int, int]:
        """Return how many images and how many output rows have im2col columns of about `BLOCK_BYTES` bytes together."""
        layer, shape = self._layer, self._output.shape
        taps = 2 * layer.groups if layer.is_depthwise else layer.codes[0].size
        row_bytes = shape.width * (taps + shape.channels) * np.dtype(self.sum_type).itemsize
        image_bytes = max(shape.height * row_bytes, self._input.shape.elements * np.dtype(self.sum_type).itemsize)
        return BLOCK_BYTES // image_bytes, BLOCK_BYTES // row_bytes

    def _sums(self, windows: FloatMatrix) -> FloatMatrix:
        """Compute the sums of products of a convolution's weights and the elements of its windows.

        Args:
            windows: The steps q_x - z_x, [n, rows, columns, kernel row, kernel column, input channels].

        Returns:
            The sums, [n, rows, columns, output channels].
        """
        layer = self._layer
        if layer.is_depthwise:
            return self._depthwise_sums(windows)
        per_group = len(layer.codes) // layer.groups
        channels = layer.codes.shape[3]
        positions = windows.shape[:3]
        parts = [
            windows[..., group * channels : (group + 1) * channels].reshape(-1, layer.codes[0].size)
            @ self._weights[group * per_group : (group + 1) * per_group].reshape(per_group, -1).T
            for group in range(layer.groups)
        ]
        return (parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)).reshape(*positions, -1)

    def _depthwise_sums(self, windows: FloatMatrix) -> FloatMatrix:
        filters_per_channel = len(self._layer.codes) // self._layer.groups
        # [kernel row, kernel column, channel, filter of that channel]
        weights = self._weights[..., 0].transpose(1, 2, 0)
        weights = weights.reshape(*weights.shape[:2], -1, filters_per_channel)
        sums = np.zeros((*windows.shape[:3], *weights.shape[2:]), dtype=self.sum_type)
        for row, column in np.ndindex(*self._layer.kernel):
            sums += windows[:, :, :, row, column, :, None] * weights[row, column]
        return sums.reshape(*windows.shape[:3], -1)
