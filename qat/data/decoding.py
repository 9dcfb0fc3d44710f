"""Decoding of one encoded image to uint8 pixels, with Pillow. Imports no torch.

For evaluation, an image whose size differs from the network's input is resized and center-cropped: the network sees
224/256 of its shorter side, as is usual for ImageNet. For training, a random crop can be used instead. Resizing is
bilinear with Pillow's antialiasing. The EXIF orientation of a photograph is ignored, as in other trainers.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from network.errors import DatasetError
from qat.data.names import reason_of

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm"})
FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "PPM")
MAX_PIXELS: Final = Image.MAX_IMAGE_PIXELS or 89_478_485
"""Largest number of pixels of an image. A decoded pixel occupies up to four bytes."""
MAX_ENCODED_BYTES: Final = 2**28
"""Largest size of an encoded image, in bytes."""
CENTER_CROP_SHARE: Final = 224 / 256
"""Share of the shorter side of an image that the network sees in evaluation."""
MODES: Final[dict[int, Literal["L", "RGB", "RGBA"]]] = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode of an image by its number of channels."""
_MIN_RESIZE_FACTOR: Final = 2.0
"""Smallest factor that is left to Pillow's resizing after a JPEG was decoded at a half, a quarter, ... of its size."""

Pixels = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""The left, upper, right and lower edge of a part of an image, in pixels."""


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Size of the images that a network reads.

    Attributes:
        height: Height in pixels, from 1.
        width: Width in pixels, from 1.
        channels: Number of channels: 1 (grey), 3 (red, green, blue) or 4 (red, green, blue, alpha).
    """

    height: int
    width: int
    channels: int

    def __post_init__(self) -> None:
        if self.channels not in MODES:
            raise DatasetError(
                f"the network reads images of {self.channels} channels; expected 1, 3 or 4 for encoded images: "
                "give the samples as arrays (.npz or .npy)"
            )


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangular part of an image, independent of the image's size.

    Attributes:
        area: Area of the part as a share of the image's area, above 0 and at most 1.
        ratio: Width of the part divided by its height, above 0.
        right: Horizontal position, from 0 (at the left edge of the image) to 1 (at its right edge).
        down: Vertical position, from 0 (at the upper edge of the image) to 1 (at its lower edge).
    """

    area: float
    ratio: float
    right: float
    down: float

    def box(self, width: int, height: int) -> Box:
        """Return the edges of the part in an image of this size, in pixels, limited to the image.

        Args:
            width: Width of the image in pixels.
            height: Height of the image in pixels.
        """
        wide = min(width, math.sqrt(width * height * self.area * self.ratio))
        high = min(height, math.sqrt(width * height * self.area / self.ratio))
        left, upper = (width - wide) * self.right, (height - high) * self.down
        return left, upper, min(width, left + wide), min(height, upper + high)


def decode(content: bytes, name: str, size: ImageSize | None, crop: Crop | None = None) -> Pixels:
    """Decode an encoded image and resize it to the size that the network reads.

    Args:
        content: Content of a JPEG, PNG, WebP, BMP or PPM file.
        name: Name of the image in errors.
        size: Size of the result; None keeps the size of the image and converts it to 1 or 3 channels.
        crop: The part of the image that is used. None uses the whole image if it has the requested size, else the
            center crop for evaluation.

    Returns:
        The pixels, uint8 [height, width, channels].

    Raises:
        DatasetError: if the content is not an image of these formats, is damaged, has more than 8 bits per channel,
            or has more than `MAX_PIXELS` pixels.
    """
    with opened_image(io.BytesIO(content), name) as image:
        return _pixels(image, name, size, crop)


@contextmanager
def opened_image(file: IO[bytes], name: str) -> Iterator[Image.Image]:
    """Open an encoded image; inside the context, every error of Pillow becomes a `DatasetError` that names the image.

    Args:
        file: The encoded image, which is read when its pixels are needed.
        name: Name of the image in errors.

    Raises:
        DatasetError: if the content is not an image of the formats `FORMATS`, is damaged, or has more than `MAX_PIXELS`
            pixels.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DatasetError(
                    f"'{name}' has {image.width} x {image.height} pixels; at most {MAX_PIXELS} are allowed: give a "
                    "smaller image"
                )
            yield image
    except DatasetError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DatasetError(f"'{name}' has more than {MAX_PIXELS} pixels; give a smaller image") from None
    except Exception as error:  # Pillow's parsers raise many types of errors on damaged files
        raise DatasetError(
            f"'{name}' cannot be decoded: {reason_of(error)}; expected a complete JPEG, PNG, WebP, BMP or PPM image"
        ) from error


def fit_pixels(pixels: Pixels, crop: Crop) -> Pixels:
    """Crop decoded pixels and resize the crop to the size of the whole image.

    Args:
        pixels: The image, uint8 [height, width, channels] with 1, 3 or 4 channels.
        crop: The part that is used.

    Returns:
        The resized part, uint8 [height, width, channels].
    """
    height, width, channels = pixels.shape
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    return _as_pixels(image.resize((width, height), Image.Resampling.BILINEAR, crop.box(width, height)))


def _pixels(image: Image.Image, name: str, size: ImageSize | None, crop: Crop | None) -> Pixels:
    if size is None:
        _check_depth(image, name)
        grey = image.mode in {"1", "L", "LA"}
        return _as_pixels(_converted(image, "L" if grey else "RGB"))
    given = (image.width, image.height)
    return decode_part(image, name, size, seen_box(*given, size) if crop is None else crop.box(*given))


def decode_part(image: Image.Image, name: str, size: ImageSize, box: Box) -> Pixels:
    """Decode a part of an opened image and resize it, bilinear and antialiased.

    Args:
        image: The image, inside the context of `opened_image`.
        name: Name of the image in errors.
        size: Size of the result.
        box: Edges of the part in pixels. A whole image of the requested size is not changed.

    Returns:
        The pixels, uint8 [height, width, channels].

    Raises:
        DatasetError: if the image has more than 8 bits per channel.
    """
    _check_depth(image, name)
    if image.size == (size.width, size.height) and box == (0, 0, *image.size):
        return _as_pixels(_converted(image, MODES[size.channels]))
    box = _draft_jpeg(image, box, size)
    converted = _converted(image, MODES[size.channels])
    return _as_pixels(converted.resize((size.width, size.height), Image.Resampling.BILINEAR, box))


def _check_depth(image: Image.Image, name: str) -> None:
    if image.mode.startswith(("I", "F")):
        raise DatasetError(
            f"'{name}' has more than 8 bits per channel (Pillow's mode '{image.mode}'); save it with 8 bits per channel"
        )


def seen_box(width: int, height: int, size: ImageSize) -> Box:
    """Return the edges of the part of an image that the network sees in evaluation, in pixels.

    Args:
        width: Width of the image in pixels.
        height: Height of the image in pixels.
        size: Size of the images that the network reads; an image of this size is seen as a whole.
    """
    if (width, height) == (size.width, size.height):
        return 0.0, 0.0, float(width), float(height)
    scale = min(width / size.width, height / size.height) * CENTER_CROP_SHARE
    wide, high = size.width * scale, size.height * scale
    left, upper = (width - wide) / 2, (height - high) / 2
    return left, upper, left + wide, upper + high


def _draft_jpeg(image: Image.Image, box: Box, size: ImageSize) -> Box:
    """Make Pillow decode a JPEG at a reduced size if it is much larger than needed.

    Returns:
        The box in pixels of the reduced image.
    """
    shrinks_by = min((box[2] - box[0]) / size.width, (box[3] - box[1]) / size.height)
    if image.format != "JPEG" or shrinks_by < 2 * _MIN_RESIZE_FACTOR:
        return box
    width, height = image.size
    reduced_by = shrinks_by / _MIN_RESIZE_FACTOR
    image.draft(image.mode, (math.ceil(width / reduced_by), math.ceil(height / reduced_by)))
    across, along = image.width / width, image.height / height
    return (
        box[0] * across,
        box[1] * along,
        min(image.width, box[2] * across),
        min(image.height, box[3] * along),
    )


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # avoids Pillow's warning about palettes with transparency
    image.load()
    return image if image.mode == mode else image.convert(mode)


def _as_pixels(image: Image.Image) -> Pixels:
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
