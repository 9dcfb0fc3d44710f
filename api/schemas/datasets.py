"""JSON schemas of the answers about datasets of the service."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from api.schemas.answer import Answer, Count


class DatasetOrigin(StrEnum):
    """Origin of a dataset of the service: uploaded, built-in, or provided by the operator."""

    BUILT_IN = "built-in"
    UPLOADED = "uploaded"
    OPERATOR = "operator"


class DatasetAnswer(Answer):
    """Description of a dataset for training and testing."""

    id: str = Field(
        description="SHA-256 of an uploaded file, in hexadecimal; the name of an operator's dataset; or 'digits'"
    )
    name: str = Field(description="name of the dataset in reports")
    origin: DatasetOrigin = Field(
        default=DatasetOrigin.UPLOADED,
        description="uploaded; built-in; or operator: an entry of the directory of datasets of the operator",
    )
    size_bytes: Count | None = Field(
        description="size of the uploaded file, in bytes; 0 for the built-in dataset, null for an operator's dataset"
    )
    created_at: AwareDatetime | None = Field(
        description="time of the first upload; null if the dataset was not uploaded"
    )
    sample_shape: list[Annotated[int, Field(ge=1)]] | None = Field(
        description="shape of one sample; for images: height, width, channels. Encoded images are resized to the "
        "input of the network; this is the shape of the first one. In a list, the fields from here on are null for an "
        "operator's dataset, because only a request for this dataset reads it"
    )
    sample_type: str | None = Field(description="data type of a sample: uint8 or float32")
    train_samples: Count | None = Field(description="number of training samples")
    test_samples: Count | None = Field(description="number of test samples")
    target_shape: list[Annotated[int, Field(ge=1)]] | None = Field(
        default=None,
        description="shape of one target; [] for one number for each sample; null without targets. Masks beside "
        "encoded images are resized to the output of the network; this is the shape of the first one",
    )
    target_type: str | None = Field(
        default=None, description="data type of a target, such as int64 or float32; null without targets"
    )
    classes: Count | None = Field(
        description="number of classes: the largest label plus 1; null if the targets are not one whole number for "
        "each sample"
    )
    class_names: list[str] | None = Field(
        default=None,
        description="name of each class, or its number as text; null, like the counts, if the targets are not classes "
        "or there are more than 10,000 classes",
    )
    train_class_counts: list[Count] | None = Field(
        default=None, description="number of training samples of each class; null if they have no labels"
    )
    test_class_counts: list[Count] | None = Field(
        default=None, description="number of test samples of each class; null if they have no labels"
    )
