"""What a caller may ask for in detail within a training: augmentation, post-training, overrides of single layers."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from pydantic.config import JsonDict

from network.allocation import Folding, WeightScheme
from qat.options.augmentation import AugmentationOptions
from qat.options.post_training import PostTrainingOptions, Rounding
from qat.options.training import ActivationRange, RangeSetting, TensorOverride

_CHANGED: Final = AugmentationOptions()
_AFTERWARDS: Final = PostTrainingOptions()


def names_of(kind: type[StrEnum]) -> JsonDict:
    """What a schema says of a field that takes these names."""
    return {"enum": [str(name) for name in kind]}


class Augmentation(BaseModel):
    """How training samples are changed at random."""

    model_config = ConfigDict(extra="forbid")

    shift: StrictFloat = Field(
        default=_CHANGED.shift, description="images are moved by up to this share of their sides"
    )
    flip: StrictBool = Field(default=_CHANGED.flip, description="half of the images are mirrored, left to right")
    least_crop: StrictFloat = Field(
        default=_CHANGED.least_crop,
        description="a part of each image of at least this share of its area becomes the whole; 1 takes no part",
    )
    rand_augment_operations: StrictInt = Field(
        default=_CHANGED.rand_augment_operations, description="how many of RandAugment's operations an image gets"
    )
    rand_augment_magnitude: StrictInt = Field(
        default=_CHANGED.rand_augment_magnitude, description="how much they change, 0 to 30"
    )
    mixup: StrictFloat = Field(
        default=_CHANGED.mixup, description="alpha of mixup's Beta distribution; 0 mixes no samples"
    )

    def options(self) -> AugmentationOptions:
        """The same, judged.

        Raises:
            RequestError: an option outside its range.
        """
        return AugmentationOptions(**self.model_dump())


class PostTraining(BaseModel):
    """What is done between calibration and the first epoch, without labels."""

    model_config = ConfigDict(extra="forbid")

    equalization: StrictBool = Field(
        default=_AFTERWARDS.equalization,
        description="scale the weights of layers that follow each other against each other",
    )
    rounding: str = Field(
        default=str(_AFTERWARDS.rounding),
        description="which neighbour on the grid a weight becomes",
        json_schema_extra=names_of(Rounding),
    )
    rounding_steps: StrictInt = Field(
        default=_AFTERWARDS.rounding_steps, description="steps that rounding is learned for, for each block of layers"
    )
    bias_correction: StrictBool = Field(
        default=_AFTERWARDS.bias_correction, description="put the mean error of every channel into its bias"
    )
    samples: StrictInt = Field(default=_AFTERWARDS.samples, description="training samples that this looks at, at most")
    seed: StrictInt = Field(default=_AFTERWARDS.seed, description="of the order in which rounding sees them")

    def options(self) -> PostTrainingOptions:
        """The same, judged.

        Raises:
            RequestError: an option outside its range.
        """
        return PostTrainingOptions(**self.model_dump())


class Override(BaseModel):
    """What one layer does otherwise than the others; null leaves it as it is."""

    model_config = ConfigDict(extra="forbid")

    weights: StrictStr | None = Field(
        default=None, description="how its weight tensor is quantized", json_schema_extra=names_of(WeightScheme)
    )
    folding: StrictStr | None = Field(
        default=None, description="where its batch norm goes", json_schema_extra=names_of(Folding)
    )
    activation_range: StrictStr | None = Field(
        default=None,
        description="how the tensor that it writes is bounded",
        json_schema_extra=names_of(ActivationRange),
    )
    range_setting: StrictStr | None = Field(
        default=None, description="where that range starts", json_schema_extra=names_of(RangeSetting)
    )

    def options(self) -> TensorOverride:
        """The same, judged.

        Raises:
            RequestError: an unknown name.
        """
        return TensorOverride(**self.model_dump())
