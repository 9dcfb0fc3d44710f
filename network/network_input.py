"""Inputs of a network: their shapes, and the conversion of the caller's samples to their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from network.layers import Float32Array, Shape

Element = TypeVar("Element", bound=np.generic)

MAX_INPUTS: Final = 100
"""Largest number of inputs of a network."""


@dataclass(frozen=True, eq=False)
class InputFormat:
    """Conversion of the caller's samples to a network's input tensor: x = (sample - subtract) * multiply, transposed.

    Attributes:
        dims: Extents of one sample as the caller stores it, without the batch, e.g. (32, 32, 3) or (640,).
        channels_last: Whether a sample is stored as height, width, channels; else the channels come first.
        subtract: Numbers to subtract from each sample: one number, or one for each channel.
        multiply: Numbers to multiply the difference with: one number, or one for each channel.
        samples_are_bytes: Whether the samples are known to be bytes, 0 to 255, whose codes come from an exact table
            (`deploy.input_codes`). Calibration finds it out; False in a network that was read from a file.
    """

    dims: tuple[int, ...]
    channels_last: bool = False
    subtract: tuple[float, ...] = (0.0,)
    multiply: tuple[float, ...] = (1.0,)
    samples_are_bytes: bool = False

    @property
    def is_normalised_already(self) -> bool:
        """Whether a network's input samples need neither subtraction nor multiplication."""
        return set(self.subtract) == {0.0} and set(self.multiply) == {1.0}

    def to_input_tensor(self, samples: npt.NDArray[np.generic], shape: Shape) -> Float32Array:
        """Convert the caller's samples to values of a network's input tensor, float32 [n, channels, height, width].

        Args:
            samples: Samples as the caller stores them, [n, *dims].
            shape: Shape of the network's input tensor.

        Returns:
            float32 [n, channels, height, width].
        """
        values = self.arranged(samples, shape).astype(np.float32)
        if not self.is_normalised_already:
            subtract = self.along_channels(np.asarray(self.subtract, dtype=np.float32))
            multiply = self.along_channels(np.asarray(self.multiply, dtype=np.float32))
            values = (values - subtract) * multiply
        return np.ascontiguousarray(values, dtype=np.float32)

    def arranged(self, samples: npt.NDArray[Element], shape: Shape) -> npt.NDArray[Element]:
        """Rearrange the caller's samples to the layout of a network's input tensor; no value changes.

        Args:
            samples: Samples as the caller stores them, [n, *dims].
            shape: Shape of the network's input tensor.

        Returns:
            [n, channels, height, width], of the type of the samples.
        """
        if not self.channels_last:
            return samples.reshape(len(samples), *shape)
        # [n, length, channels] is an image of height 1
        return samples.reshape(len(samples), shape.height, shape.width, shape.channels).transpose(0, 3, 1, 2)

    def along_channels(self, numbers: npt.NDArray[Element]) -> npt.NDArray[Element]:
        """Reshape one number, or one number for each channel, so that it broadcasts to [n, channels, height, width]."""
        return numbers.reshape(1, -1, 1, 1)


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """Input of a network: an activation tensor that the caller writes.

    Attributes:
        name: Name of the activation tensor.
        shape: Shape of the activation tensor.
        format: Conversion of the caller's samples to the activation tensor.
    """

    name: str
    shape: Shape
    format: InputFormat
