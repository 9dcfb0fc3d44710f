"""Random augmentation of training samples: crop, RandAugment, shift, flip and mixup.

All random numbers come from the generator that the caller passes. Pillow crops and resizes, kornia runs RandAugment
(docs/decisions/0010-datasets.md). Both read and return uint8 images, so samples keep values that the device's input can
have. Shifts and flips run after normalisation and only copy memory.
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
"""Largest ratio of width to height of a random crop; the smallest is its reciprocal."""
_RAND_AUGMENT_IMAGES: Final = 64
"""Number of images that share one draw of RandAugment operations: kornia draws once for a batch."""


def read_augmented(
    source: SampleSource, indices: Indices, augmentation: AugmentationOptions, generator: np.random.Generator
) -> Samples:
    """Read samples and apply the random crops and the RandAugment operations of the options.

    Args:
        source: The samples that are read.
        indices: Indices of the samples, int64 [n], from 0.
        augmentation: The augmentations; only `least_crop` and the RandAugment options are used here.
        generator: Source of all random numbers.

    Returns:
        The samples in the order of `indices`, [n, *dims], with the type of the source.

    Raises:
        DatasetError: if a sample cannot be read.
        RequestError: if the options crop or run RandAugment and the samples are not uint8 images.
    """
    if augmentation.needs_bytes:
        check_augmentable(source, augmentation)
    if augmentation.least_crop == 1:
        samples = source[indices]
    else:
        crops = _random_crops(len(indices), augmentation.least_crop, generator)
        if isinstance(source, EncodedImages):
            samples = source.cropped(indices, crops)
        else:
            pixels = np.asarray(source[indices], dtype=np.uint8)
            samples = np.stack([fit_pixels(each, crop) for each, crop in zip(pixels, crops, strict=True)])
    if augmentation.rand_augment_operations:
        samples = _rand_augmented(np.asarray(samples, dtype=np.uint8), augmentation, generator)
    return samples


def check_augmentable(source: SampleSource, augmentation: AugmentationOptions) -> None:
    """Reject samples that the options cannot augment.

    Args:
        source: The samples; only their type and shape are checked.
        augmentation: The augmentations that will be applied.

    Raises:
        RequestError: if the options crop or run RandAugment and the samples are not uint8 images with 1 or 3 channels.
    """
    if augmentation.needs_bytes and (
        source.dtype != np.uint8 or len(source.shape) != 4 or source.shape[3] not in {1, 3}
    ):
        raise RequestError(
            f"crops and RandAugment need uint8 images [n, height, width, 1 or 3]; the samples are {source.dtype} of "
            f"shape {list(source.shape)}: choose the augmentation 'none', 'shift' or 'flip_shift'"
        )


def shift_and_flip(
    images: Tensor, generator: np.random.Generator, *, shift: float = 0.125, flip: bool = True
) -> Tensor:
    """Shift each image by a random distance, fill the border with zeros, and flip half of the images left to right.

    Args:
        images: Normalised images, float32 [n, c, h, w].
        generator: Source of all random numbers.
        shift: Largest shift as a share of the height and of the width, 0 to 0.5.
        flip: Whether each image is flipped with probability one half.

    Returns:
        The changed images, float32 [n, c, h, w].
    """
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


def mixup(images: Tensor, shares: Tensor, alpha: float, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mix each sample and its targets with another sample of the batch (mixup, arXiv 1710.09412, equation 1).

    Args:
        images: Images, float32 [n, c, h, w].
        shares: Share of each class in each sample, float32 [n, classes], rows that sum to 1.
        alpha: Both parameters of the Beta distribution that the mixing weight is drawn from, above 0. One weight is
            drawn for the batch.
        generator: Source of all random numbers.

    Returns:
        The mixed images, float32 [n, c, h, w], and the mixed shares, float32 [n, classes].
    """
    share = float(generator.beta(alpha, alpha))
    others = torch.from_numpy(generator.permutation(len(images)))
    return torch.lerp(images[others], images, share), torch.lerp(shares[others], shares, share)


def _random_crops(count: int, least_area: float, generator: np.random.Generator) -> list[Crop]:
    areas = generator.uniform(least_area, 1.0, count).tolist()
    ratios = np.exp(generator.uniform(-math.log(_RATIO), math.log(_RATIO), count)).tolist()
    places = generator.random((count, 2)).tolist()
    return [Crop(area, ratio, *place) for area, ratio, place in zip(areas, ratios, places, strict=True)]


@lru_cache(maxsize=4)
def _rand_augment(operations: int, magnitude: int) -> Any:
    from kornia.augmentation.auto import RandAugment  # importing it costs a quarter of a second

    return RandAugment(n=operations, m=magnitude)


@torch.no_grad()
def _rand_augmented(
    samples: npt.NDArray[np.uint8], augmentation: AugmentationOptions, generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    augment = _rand_augment(augmentation.rand_augment_operations, augmentation.rand_augment_magnitude)
    changed = np.empty_like(samples)
    with torch.random.fork_rng(devices=[]):  # kornia draws from torch's global generator, whose state must not change
        torch.manual_seed(int(generator.integers(2**63)))
        for start in range(0, len(samples), _RAND_AUGMENT_IMAGES):
            some = torch.from_numpy(samples[start : start + _RAND_AUGMENT_IMAGES]).permute(0, 3, 1, 2)
            # Some operations accept three channels only. They keep a grey image grey.
            colour = (some.float() / 255).expand(-1, 3, -1, -1)
            pixels = augment(colour).clamp(0, 1).mul(255).round().to(torch.uint8)
            changed[start : start + _RAND_AUGMENT_IMAGES] = pixels[:, : samples.shape[3]].permute(0, 2, 3, 1).numpy()
    return changed
