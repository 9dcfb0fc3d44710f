"""Complete training options for tests of parts that a recipe does not precede."""

from __future__ import annotations

from typing import Any

from qat.options.chosen import ChosenOptions
from qat.options.names import BatchNormMode, BestBy
from qat.options.post_training import NO_POST_TRAINING


def complete(**given: Any) -> ChosenOptions:
    """Return training options with values for all that a recipe would choose."""
    values: dict[str, Any] = {"epochs": 3, "batch_size": 128, "batch_norm": BatchNormMode.TRAIN}
    values["best_by"] = BestBy.QUALITY
    values |= {"learning_rate": 3e-4, "relative_rates": False, "post_training": NO_POST_TRAINING}
    return ChosenOptions(**values | given)
