"""Options of data augmentation: how training samples are changed at random. This module does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainSerializer, StrictBool, StrictFloat, StrictInt

from network.errors import RequestError
from network.options import Options


class AugmentationOptions(Options):
    """Options of data augmentation: how training samples are changed at random; by default they are not changed."""

    shift: StrictFloat = Field(
        default=0.0,
        ge=0.0,
        le=0.5,
        description="largest shift of an image, as a share of its height and width; the uncovered border is filled "
        "with the value that the network reads as zero; 0 does not shift",
    )
    flip: StrictBool = Field(default=False, description="mirror half of the training images, left to right")
    least_crop: StrictFloat = Field(
        default=1.0,
        ge=0.01,
        le=1.0,
        description="smallest area of a random crop, as a share of the image's area; the crop has an aspect ratio from "
        "3:4 to 4:3 and is resized to the whole image; 1 does not crop (arXiv 1409.4842, section 6)",
    )
    rand_augment_operations: StrictInt = Field(
        default=0,
        ge=0,
        le=14,
        description="number of RandAugment operations applied to each image (arXiv 1909.13719); 0 applies none",
    )
    rand_augment_magnitude: StrictInt = Field(
        default=9, ge=0, le=30, description="strength of the RandAugment operations, from 0 (weakest) to 30"
    )
    mixup: StrictFloat = Field(
        default=0.0,
        ge=0.0,
        le=100.0,
        description="alpha of the Beta distribution from which the share of another sample that is mixed into each "
        "sample is drawn (arXiv 1710.09412, equation 1); 0 does not mix samples",
    )

    @property
    def changes_samples(self) -> bool:
        """Whether augmentation changes a sample from epoch to epoch, so that the float network's output for it cannot
        be cached.
        """
        return bool(self.needs_bytes or self.flip or self.shift or self.mixup)

    @property
    def needs_bytes(self) -> bool:
        """Whether the augmentation options require samples that are uint8 images."""
        return self.least_crop < 1 or self.rand_augment_operations > 0


class AugmentationPreset(StrEnum):
    """Names of the ready-made sets of augmentation options; `PRESETS` maps each name to its options."""

    NONE = "none"
    SHIFT = "shift"
    """Preset for images that must not be mirrored, such as digits: random shifts."""

    FLIP_SHIFT = "flip_shift"
    """Preset for small photographs: random shifts and mirroring."""

    FLIP_SHIFT_MIXUP = "flip_shift_mixup"
    FLIP_SHIFT_RAND = "flip_shift_rand"
    IMAGENET = "imagenet"
    """Preset with the usual augmentation for ImageNet: random crops and mirroring (arXiv 1409.4842, section 6)."""

    IMAGENET_RAND = "imagenet_rand"


PRESETS: Final[Mapping[str, AugmentationOptions]] = MappingProxyType(
    {
        AugmentationPreset.NONE: AugmentationOptions(),
        AugmentationPreset.SHIFT: AugmentationOptions(shift=0.125),
        AugmentationPreset.FLIP_SHIFT: AugmentationOptions(shift=0.125, flip=True),
        AugmentationPreset.FLIP_SHIFT_MIXUP: AugmentationOptions(shift=0.125, flip=True, mixup=0.2),
        AugmentationPreset.FLIP_SHIFT_RAND: AugmentationOptions(shift=0.125, flip=True, rand_augment_operations=2),
        AugmentationPreset.IMAGENET: AugmentationOptions(least_crop=0.08, flip=True),
        AugmentationPreset.IMAGENET_RAND: AugmentationOptions(
            least_crop=0.08, flip=True, rand_augment_operations=2, mixup=0.2
        ),
    }
)
"""Augmentation options of each preset, by the name of the preset."""


def preset(name: str) -> AugmentationOptions:
    """Return the augmentation options that belong to the name of a preset.

    Args:
        name: Name of the preset, a key of `PRESETS`.

    Raises:
        RequestError: if there is no preset of that name.
    """
    if name not in PRESETS:
        raise RequestError(
            f"{name[:60]!r} is not the name of an augmentation preset; expected one of: {', '.join(PRESETS)}"
        )
    return PRESETS[name]


def _from_name(given: object) -> object:
    """Replace the name of an augmentation preset by its options; return any other value unchanged for pydantic to
    check.
    """
    if not isinstance(given, str):
        return given
    if given not in PRESETS:
        raise ValueError(f"expected an object of augmentation options, or one of: {', '.join(PRESETS)}")
    return PRESETS[given]


def _to_name(options: AugmentationOptions) -> AugmentationPreset | AugmentationOptions:
    """Return the name of the augmentation preset with these options, or the options themselves if
    no preset has them.
    """
    return next((AugmentationPreset(name) for name, each in PRESETS.items() if each == options), options)


AugmentationChoice = Annotated[
    AugmentationOptions,
    BeforeValidator(_from_name, json_schema_input_type=AugmentationPreset | AugmentationOptions),
    PlainSerializer(_to_name, return_type=AugmentationPreset | AugmentationOptions),
]
"""Augmentation options; JSON contains the name of a preset instead, if a preset has the same options."""
