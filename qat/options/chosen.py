"""Training options of a run in which no value is missing: the recipe has chosen those that were not given."""

from __future__ import annotations

from typing import Any, Self

from pydantic import StrictBool, StrictFloat, StrictInt

from qat.options.names import BatchNormMode, BestBy
from qat.options.post_training import PostTrainingOptions
from qat.options.training import TrainingOptions


class ChosenOptions(TrainingOptions):
    """Training options with a value for every option that the recipe chooses (`qat.training.recipe`)."""

    epochs: StrictInt
    batch_size: StrictInt
    learning_rate: StrictFloat
    relative_rates: StrictBool
    best_by: BestBy
    batch_norm: BatchNormMode
    post_training: PostTrainingOptions

    @classmethod
    def of(cls, given: TrainingOptions, **chosen: Any) -> Self:
        """Return given options, completed by the recipe's values.

        Args:
            given: Options as they were given; None where the recipe chooses.
            chosen: Name of each option that the recipe chooses -> its value.
        """
        return cls(**{name: getattr(given, name) for name in TrainingOptions.model_fields} | chosen)
