"""One encoded image -> the bytes of its pixels, by Pillow. Imports no torch.

To evaluate, an image of another size than the network's is resized so that the network sees 224/256 of its shorter
side, from the middle, as is done for ImageNet; to train, a part of it can be chosen at random. Resizing is bilinear
with Pillow's antialiasing. The orientation that a camera noted beside the pixels is not applied, as in other trainers.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from network.errors import DatasetError
from qat.data.names import reason_of

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm"})
FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "PPM")
MAX_PIXELS: Final = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Of one image. Decoded they take up to four bytes each."""
MAX_ENCODED_BYTES: Final = 2**28
SEEN_SHARE: Final = 224 / 256
"""Of the shorter side, when an image is resized to be evaluated."""
_MODES: Final[dict[int, Literal["L", "RGB", "RGBA"]]] = {1: "L", 3: "RGB", 4: "RGBA"}
_ALIKE: Final = 2.0
"""A JPEG may be decoded at a half, a quarter, ... of its size where at least so much is left to Pillow's resizing."""

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""Left, upper, right, lower, in pixels."""


@dataclass(frozen=True, slots=True)
class ImageSize:
    """What a network takes: 1 channel is grey, 3 are red, green and blue, 4 have alpha beside them."""

    height: int
    width: int
    channels: int

    def __post_init__(self) -> None:
        if self.channels not in _MODES:
            raise DatasetError(
                f"the network takes images of {self.channels} channels; encoded images have 1, 3 or 4: "
                "give the samples as arrays (.npz or .npy)"
            )


@dataclass(frozen=True, slots=True)
class Crop:
    """Which part of an image is taken, whatever its size.

    Attributes:
        area: share of the image's area, above 0 and at most 1.
        ratio: width over height.
        right, down: where it lies in what is left beside it, 0 to 1.
    """

    area: float
    ratio: float
    right: float
    down: float

    def box(self, width: int, height: int) -> Box:
        """Left, upper, right, lower in pixels. What reaches beyond a side is cut there."""
        wide = min(width, math.sqrt(width * height * self.area * self.ratio))
        high = min(height, math.sqrt(width * height * self.area / self.ratio))
        left, upper = (width - wide) * self.right, (height - high) * self.down
        return left, upper, min(width, left + wide), min(height, upper + high)


def decode(content: bytes, name: str, size: ImageSize | None, crop: Crop | None = None) -> Pixels:
    """The pixels of an encoded image.

    Args:
        content: a JPEG, PNG, WebP, BMP or PPM file.
        name: what errors call it.
        size: what the network takes; None: as the image is, with 1 or 3 channels.
        crop: the part that is taken; None: the whole image where it has the network's size, else its middle.

    Returns:
        uint8 [height, width, channels].

    Raises:
        DatasetError: no such image, a damaged one, or one with more than `MAX_PIXELS`.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return _pixels(image, name, size, crop)
    except DatasetError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DatasetError(f"'{name}' has more than {MAX_PIXELS} pixels; give a smaller image") from None
    except Exception as error:  # Pillow's parsers raise whatever they trip over
        raise DatasetError(
            f"'{name}' cannot be decoded: {reason_of(error)}; expected a whole JPEG, PNG, WebP, BMP or PPM image"
        ) from error


def fit_pixels(pixels: Pixels, crop: Crop) -> Pixels:
    """A part of decoded pixels [height, width, 1, 3 or 4], resized to what they were."""
    height, width, channels = pixels.shape
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    return _as_pixels(image.resize((width, height), Image.Resampling.BILINEAR, crop.box(width, height)))


def _pixels(image: Image.Image, name: str, size: ImageSize | None, crop: Crop | None) -> Pixels:
    if image.width * image.height > MAX_PIXELS:
        raise DatasetError(f"'{name}' has {image.width} x {image.height} pixels; at most {MAX_PIXELS} are taken")
    if image.mode.startswith(("I", "F")):
        raise DatasetError(f"'{name}' has more than 8 bits a channel ({image.mode}); save it with 8")
    if size is None:
        grey = image.mode in {"1", "L", "LA"}
        return _as_pixels(_converted(image, "L" if grey else "RGB"))
    whole = (image.width, image.height)
    is_as_taken = crop is None and whole == (size.width, size.height)
    if is_as_taken:
        return _as_pixels(_converted(image, _MODES[size.channels]))
    box = _drafted(image, _box(crop, *whole, size), size)
    converted = _converted(image, _MODES[size.channels])
    return _as_pixels(converted.resize((size.width, size.height), Image.Resampling.BILINEAR, box))


def _box(crop: Crop | None, width: int, height: int, size: ImageSize) -> Box:
    if crop is not None:
        return crop.box(width, height)
    scale = min(width / size.width, height / size.height) * SEEN_SHARE
    wide, high = size.width * scale, size.height * scale
    left, upper = (width - wide) / 2, (height - high) / 2
    return left, upper, left + wide, upper + high


def _drafted(image: Image.Image, box: Box, size: ImageSize) -> Box:
    """Let a JPEG that is far larger than needed be decoded smaller; the box in the pixels that it will have."""
    shrinks_by = min((box[2] - box[0]) / size.width, (box[3] - box[1]) / size.height)
    if image.format != "JPEG" or shrinks_by < 2 * _ALIKE:
        return box
    width, height = image.size
    image.draft(image.mode, (math.ceil(width * _ALIKE / shrinks_by), math.ceil(height * _ALIKE / shrinks_by)))
    across, along = image.width / width, image.height / height
    return (
        box[0] * across,
        box[1] * along,
        min(image.width, box[2] * across),
        min(image.height, box[3] * along),
    )


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # else Pillow warns about palettes with transparency
    image.load()
    return image if image.mode == mode else image.convert(mode)


def _as_pixels(image: Image.Image) -> Pixels:
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
