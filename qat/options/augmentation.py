"""What can be chosen about augmentation: how training samples are changed at random. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from network.errors import RequestError
from qat.options.checks import flag, number, whole

MAX_MAGNITUDE: Final = 30
MAX_OPERATIONS: Final = 14


@dataclass(frozen=True, slots=True)
class AugmentationOptions:
    """How training samples are changed at random; by default not at all.

    Attributes:
        shift: images are moved by up to this share of their sides, up to a half; what comes in is the network's zero.
        flip: half of the images are mirrored, left to right.
        least_crop: a part of each image is taken and resized to the whole, of at least this share of its area and of
            a ratio of sides between 3:4 and 4:3; 1 takes no part.
        rand_augment_operations: of RandAugment (arXiv 1909.13719), how many operations an image goes through.
        rand_augment_magnitude: how much they change, 0 to 30.
        mixup: alpha of the Beta distribution that says how much of another sample is mixed into each (arXiv
            1710.09412, equation 1); 0 mixes nothing.
    """

    shift: float = 0.0
    flip: bool = False
    least_crop: float = 1.0
    rand_augment_operations: int = 0
    rand_augment_magnitude: int = 9
    mixup: float = 0.0

    def __post_init__(self) -> None:
        number("shift", self.shift, 0.0, 0.5)
        flag("flip", self.flip)
        number("least_crop", self.least_crop, 0.01, 1.0)
        whole("rand_augment_operations", self.rand_augment_operations, 0, MAX_OPERATIONS)
        whole("rand_augment_magnitude", self.rand_augment_magnitude, 0, MAX_MAGNITUDE)
        number("mixup", self.mixup, 0.0, 100.0)

    @property
    def changes_samples(self) -> bool:
        """Whether a sample is another one in every epoch, so that nothing about it can be remembered."""
        return bool(self.needs_bytes or self.flip or self.shift or self.mixup)

    @property
    def needs_bytes(self) -> bool:
        """Whether samples have to be images of bytes."""
        return self.least_crop < 1 or self.rand_augment_operations > 0


PRESETS: Final = MappingProxyType(
    {
        "none": AugmentationOptions(),
        "shift": AugmentationOptions(shift=0.125),
        "flip_shift": AugmentationOptions(shift=0.125, flip=True),
        "flip_shift_mixup": AugmentationOptions(shift=0.125, flip=True, mixup=0.2),
        "flip_shift_rand": AugmentationOptions(shift=0.125, flip=True, rand_augment_operations=2),
        "imagenet": AugmentationOptions(least_crop=0.08, flip=True),
        "imagenet_rand": AugmentationOptions(least_crop=0.08, flip=True, rand_augment_operations=2, mixup=0.2),
    }
)
"""Ways to augment, by name. `shift` suits what must not be mirrored, such as digits; `flip_shift` small photographs;
`imagenet` is the usual one there (arXiv 1409.4842, section 6)."""


def preset(name: str) -> AugmentationOptions:
    """A way to augment, by its name.

    Raises:
        RequestError: there is none of that name.
    """
    if name not in PRESETS:
        raise RequestError(f"unknown augmentation {name[:60]!r}; expected one of: {', '.join(PRESETS)}")
    return PRESETS[name]
