"""Targets that are image files, one for each image of the samples, decoded when they are indexed. Imports no torch.

A target shows the part of its image that the network sees (`decoding.seen_box`), in the size of the network's output.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from network.errors import DatasetError
from network.layers import Shape
from network.network import Network
from qat.data.dataset import Indices, dims_of_samples, indices_of
from qat.data.decoding import MODES, Box, ImageSize, decode, decode_part, opened_image, seen_box
from qat.data.encoded_store import EncodedStore

WHITE: Final = 255
"""Value of class 1 in black and white masks."""
_EXAMINED_MASKS: Final = 64
"""Number of masks that are read to find out whether all masks are black and white."""

Bytes = npt.NDArray[np.uint8]


class TargetKind(StrEnum):
    """What the target of an image is."""

    MASK = "mask"
    """The class of each pixel."""

    IMAGE = "target image"
    """An image that the network computes, such as one without noise or of a higher resolution."""


@dataclass(frozen=True, eq=False)
class EncodedTargets:
    """Masks or target images that are decoded when they are indexed.

    Attributes:
        store: The encoded targets.
        images: The encoded images of the samples, in the same order.
        kind: What the targets are.
        is_black_and_white: Whether the masks have the values 0 and 255 alone, which are the classes 0 and 1.
        seen: Size of the images that the network reads; None decodes whole targets in their own size.
        size: Size of the network's output; None if `seen` is None.
    """

    store: EncodedStore
    images: EncodedStore
    kind: TargetKind
    is_black_and_white: bool = False
    seen: ImageSize | None = None
    size: ImageSize | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the classes or pixels: uint8."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all targets together: [n, height, width] of masks, [n, height, width, channels] of target images;
        without `size`, the size of the first target is used.
        """
        if self.size is None:
            return (len(self), *(self._decoded(0).shape if len(self) else (0, 0)))
        channels = () if self.kind is TargetKind.MASK else (self.size.channels,)
        return (len(self), self.size.height, self.size.width, *channels)

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, selected: slice | Indices, /) -> Bytes:
        targets = []
        for index in indices_of(selected, len(self)).tolist():
            targets.append(self._decoded(index))
            if targets[-1].shape != targets[0].shape:
                raise DatasetError(
                    f"'{self.store.name_of(index)}' is {targets[-1].shape} and others are {targets[0].shape} (height, "
                    "width, channels); expected targets of one size: resize them, or give the network whose output "
                    "size they are decoded to"
                )
        return np.stack(targets) if targets else np.zeros((0, *self.shape[1:]), dtype=np.uint8)

    def fitted(self, network: Network) -> EncodedTargets:
        """Return the same targets in the size of the network's output: the first output that is an image.

        Args:
            network: The network. If none of its outputs has several positions, the targets keep their size.

        Raises:
            DatasetError: if the targets are images and the output has not 1, 3 or 4 channels, or if the network's input
                is not an image.
        """
        shapes = [network.shapes[each] for each in network.outputs]
        output = next((each for each in shapes if each.height * each.width > 1), None)
        dims = dims_of_samples(network, self.dtype)
        if output is None or len(dims) != 3:
            return self
        return replace(self, seen=ImageSize(*dims), size=_size_of(output, self.kind))

    def _decoded(self, index: int) -> Bytes:
        name, image_name = self.store.name_of(index), self.images.name_of(index)
        with opened_image(io.BytesIO(self.images.read(index)), image_name) as image:
            extent = image.size
        content = self.store.read(index)
        with opened_image(io.BytesIO(content), name) as target:
            check_extents(self.kind, (image_name, extent), (name, target.size))
            if self.seen is None or self.size is None:
                if self.kind is TargetKind.MASK:
                    return self._classes(mask_image(target, name))
                return decode(content, name, None)
            box = _scaled(seen_box(*extent, self.seen), extent, target.size)
            if self.kind is TargetKind.IMAGE:
                return decode_part(target, name, self.size, box)
            mask = mask_image(target, name)
            return self._classes(mask.resize((self.size.width, self.size.height), Image.Resampling.NEAREST, box))

    def _classes(self, mask: Image.Image) -> Bytes:
        classes = np.array(mask, dtype=np.uint8)
        if self.is_black_and_white:
            classes[classes == WHITE] = 1
        return classes


def are_black_and_white(store: EncodedStore) -> bool:
    """Return whether masks have no values but 0 and 255, of which 255 is class 1; some masks are read for this.

    Args:
        store: The encoded masks.

    Raises:
        DatasetError: if a mask cannot be read.
    """
    found: set[int] = set()
    for index in np.linspace(0, len(store) - 1, min(len(store), _EXAMINED_MASKS)).astype(int).tolist():
        with opened_image(io.BytesIO(store.read(index)), store.name_of(index)) as image:
            found |= set(np.unique(np.asarray(mask_image(image, store.name_of(index)))).tolist())
        if not found <= {0, WHITE}:
            return False
    return WHITE in found


def mask_image(image: Image.Image, name: str) -> Image.Image:
    """Return a mask as an image of class numbers, 8 bits each; a palette gives its indices.

    Args:
        image: The encoded mask.
        name: Name of the mask in errors.

    Raises:
        DatasetError: if the mask has colours without a palette, or more than 8 bits for each pixel.
    """
    if image.mode in {"L", "P"}:
        image.load()
        return Image.fromarray(np.asarray(image))
    if image.mode == "1":
        return Image.fromarray(np.asarray(image).astype(np.uint8))
    if image.mode in {"RGB", "RGBA", "LA"}:
        channels = np.asarray(image)
        grey = channels[..., :3] if image.mode != "LA" else channels[..., :1]
        if (grey == grey[..., :1]).all():
            return Image.fromarray(np.ascontiguousarray(grey[..., 0]))
        raise DatasetError(
            f"the mask '{name}' has colours and no palette; expected the class number of each pixel: save it with 8 "
            "bits for each pixel, grey or with a palette"
        )
    raise DatasetError(
        f"the mask '{name}' has Pillow's mode '{image.mode}'; expected 8 bits for each pixel, grey or with a palette"
    )


def check_extents(kind: TargetKind, image: tuple[str, tuple[int, int]], target: tuple[str, tuple[int, int]]) -> None:
    """Reject a mask of another extent than its image, and a target image of another ratio of width to height.

    Args:
        kind: What the target is.
        image: Name of the image, and its width and height in pixels.
        target: Name of the target, and its width and height in pixels.

    Raises:
        DatasetError: if the extents do not fit together.
    """
    if fit_together(kind, image[1], target[1]):
        return
    wanted = "the extent of its image" if kind is TargetKind.MASK else "the ratio of width to height of its image"
    raise DatasetError(
        f"the {kind} '{target[0]}' has {target[1][0]} x {target[1][1]} pixels and the image '{image[0]}' "
        f"{image[1][0]} x {image[1][1]}; expected {wanted}"
    )


def fit_together(kind: TargetKind, image: tuple[int, int], target: tuple[int, int]) -> bool:
    """Return whether a target of these extents (width, height) can belong to an image.

    A mask has the extent of its image. A target image has the same ratio of width to height, up to one pixel.
    """
    if kind is TargetKind.MASK:
        return image == target
    scale = target[0] / image[0]
    return abs(target[1] - image[1] * scale) <= max(1.0, scale)


def _size_of(output: Shape, kind: TargetKind) -> ImageSize:
    if kind is TargetKind.MASK:
        return ImageSize(output.height, output.width, 1)
    if output.channels not in MODES:
        raise DatasetError(
            f"the network computes {output.channels} channels of {output.height} x {output.width}; target images need "
            "an output of 1, 3 or 4 channels: give the targets as arrays (.npz or .npy)"
        )
    return ImageSize(output.height, output.width, output.channels)


def _scaled(box: Box, extent: tuple[int, int], target: tuple[int, int]) -> Box:
    """Convert a box from pixels of an image to pixels of its target."""
    across, along = target[0] / extent[0], target[1] / extent[1]
    return box[0] * across, box[1] * along, min(target[0], box[2] * across), min(target[1], box[3] * along)
