"""Samples changed at random, so that a network does not learn them by heart.

All randomness comes from the generator that is given. Crops are Pillow's resizing, RandAugment is kornia's
(docs/decisions/0010-datasets.md); both take images of bytes and give images of bytes, so that samples stay on the grid
of codes that a device is fed with. Shifts and mirrors, after normalisation, are copies of memory.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from network.errors import RequestError
from qat.data.dataset import Indices, Samples, SampleSource
from qat.data.decoding import Crop, fit_pixels
from qat.data.images import EncodedImages
from qat.options.augmentation import AugmentationOptions

_RATIO: Final = 4 / 3
_AT_ONCE: Final = 64
"""Images that go through the same operations of RandAugment: kornia draws them for a batch."""


def taken(
    source: SampleSource, indices: Indices, augmentation: AugmentationOptions, generator: np.random.Generator
) -> Samples:
    """Samples of a source, cropped and recoloured at random as the options say; in the order of `indices`.

    Raises:
        DatasetError: a sample cannot be read.
        RequestError: samples that are no images of bytes, where the options need those.
    """
    if augmentation.needs_bytes:
        check_augmentable(source, augmentation)
    if augmentation.least_crop == 1:
        samples = source[indices]
    else:
        crops = _crops(len(indices), augmentation.least_crop, generator)
        if isinstance(source, EncodedImages):
            samples = source.cropped(indices, crops)
        else:
            pixels = np.asarray(source[indices], dtype=np.uint8)
            samples = np.stack([fit_pixels(each, crop) for each, crop in zip(pixels, crops, strict=True)])
    if augmentation.rand_augment_operations:
        samples = _rand_augmented(np.asarray(samples, dtype=np.uint8), augmentation, generator)
    return samples


def check_augmentable(source: SampleSource, augmentation: AugmentationOptions) -> None:
    """Refuse samples that the options cannot change.

    Raises:
        RequestError: they are no images of bytes, or of other channels than grey or colour.
    """
    if augmentation.needs_bytes and (
        source.dtype != np.uint8 or len(source.shape) != 4 or source.shape[3] not in {1, 3}
    ):
        raise RequestError(
            f"crops and RandAugment take uint8 images [n, height, width, 1 or 3]; the samples are {source.dtype} of "
            f"shape {list(source.shape)}: augment with 'none', 'shift' or 'flip_shift'"
        )


def augmented(images: Tensor, generator: np.random.Generator, *, shift: float = 0.125, flip: bool = True) -> Tensor:
    """Images [n, c, h, w] moved by up to a share of their sides (zeros come in), half of them mirrored."""
    count, _, height, width = images.shape
    down, right = int(height * shift), int(width * shift)
    around = torch.nn.functional.pad(images, (right, right, down, down)).permute(0, 2, 3, 1).numpy()
    rows = generator.integers(0, 2 * down + 1, count).tolist()
    columns = generator.integers(0, 2 * right + 1, count).tolist()
    mirrored = (generator.random(count) < 0.5) & flip
    moved = np.empty((count, height, width, images.shape[1]), dtype=np.float32)
    for image, (row, column, mirror) in enumerate(zip(rows, columns, mirrored.tolist(), strict=True)):
        part = around[image, row : row + height, column : column + width]
        moved[image] = part[:, ::-1] if mirror else part
    return torch.from_numpy(moved).permute(0, 3, 1, 2)


def mixed(images: Tensor, shares: Tensor, alpha: float, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Each sample and its targets with a share of another one of the batch: arXiv 1710.09412, equation 1.

    Args:
        images: [n, c, h, w].
        shares: float32 [n, classes], each class's share of each sample.
        alpha: of the Beta distribution that the share is drawn from, one for the batch.
        generator: what is drawn from.
    """
    share = float(generator.beta(alpha, alpha))
    others = torch.from_numpy(generator.permutation(len(images)))
    return torch.lerp(images[others], images, share), torch.lerp(shares[others], shares, share)


def _crops(count: int, least_area: float, generator: np.random.Generator) -> list[Crop]:
    areas = generator.uniform(least_area, 1.0, count).tolist()
    ratios = np.exp(generator.uniform(-math.log(_RATIO), math.log(_RATIO), count)).tolist()
    places = generator.random((count, 2)).tolist()
    return [Crop(area, ratio, *place) for area, ratio, place in zip(areas, ratios, places, strict=True)]


@lru_cache(maxsize=4)
def _rand_augment(operations: int, magnitude: int) -> Any:
    from kornia.augmentation.auto import RandAugment  # a quarter of a second, for those who ask for it

    return RandAugment(n=operations, m=magnitude)


@torch.no_grad()
def _rand_augmented(
    samples: npt.NDArray[np.uint8], augmentation: AugmentationOptions, generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    augment = _rand_augment(augmentation.rand_augment_operations, augmentation.rand_augment_magnitude)
    changed = np.empty_like(samples)
    with torch.random.fork_rng(devices=[]):  # kornia draws from torch's own generator, which is nobody else's to move
        torch.manual_seed(int(generator.integers(2**63)))
        for start in range(0, len(samples), _AT_ONCE):
            some = torch.from_numpy(samples[start : start + _AT_ONCE]).permute(0, 3, 1, 2)
            # Some operations know red, green and blue alone; what is grey stays grey in them.
            colour = (some.float() / 255).expand(-1, 3, -1, -1)
            pixels = augment(colour).clamp(0, 1).mul(255).round().to(torch.uint8)
            changed[start : start + _AT_ONCE] = pixels[:, : samples.shape[3]].permute(0, 2, 3, 1).numpy()
    return changed
