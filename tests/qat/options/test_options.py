"""Training options: names from text, limits, what does not go together."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from network.allocation import Folding, WeightScheme
from network.errors import RequestError
from qat.options import training as module
from qat.options.augmentation import AugmentationOptions
from qat.options.training import ActivationRange, OptimizerKind, RangeSetting, Regime, TensorOverride, TrainingOptions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": -1}, "epochs is -1; expected a whole number from 0"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"epochs": True}, "epochs is True"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": "fast"}, "learning_rate is fast"),
        ({"validation_fraction": 0.0}, "validation_fraction is 0.0"),
        ({"distillation": 1.1}, "distillation is 1.1"),
        ({"regime": "sine"}, "regime is 'sine'; expected one of: constant, step, cosine, one_cycle, paper"),
        ({"activation_range": None}, "activation_range is 'None'; expected one of: learned, learned_step, clipped"),
        ({"optimizer": "lamb"}, "optimizer is 'lamb'; expected one of: sgd, adam, adamw"),
        ({"range_setting": "median"}, "range_setting is 'median'; expected one of: min_max, percentile"),
        ({"train_on": "tpu"}, "train_on is 'tpu'; expected one of: auto, cpu, cuda"),
        ({"precision": "int8"}, "precision is 'int8'; expected one of: float32, bfloat16"),
        ({"compile": True}, "compile is 'True'; expected one of: auto, on, off"),
        ({"regime": "step"}, "needs"),
        ({"learning_rate_steps": ((1, 0.1),)}, "the others take none"),
        ({"regime": "step", "learning_rate_steps": ((3, 0.1), (2, 0.1))}, "each once, ascending"),
        ({"regime": "step", "learning_rate_steps": ((1,),)}, "pairs"),
        ({"nesterov": 1}, "nesterov is '1'; expected true or false"),
        ({"nesterov": True}, "nesterov is on with adam and momentum 0.9; expected sgd with a momentum"),
        ({"nesterov": True, "optimizer": "sgd", "momentum": 0.0}, "expected sgd with a momentum"),
        ({"regime": "paper", "optimizer": "sgd"}, "the paper's regime has learning rates for adam, not for sgd"),
        ({"oscillation_threshold": 0.01, "oscillation_threshold_at_end": 0.02}, "expected a threshold that falls"),
        ({"gradual_bits": 1.0}, "gradual_bits is 1.0"),
        ({"augmentation": "flip_shift"}, "augmentation is 'flip_shift'; expected options of augmentation"),
        ({"post_training": True}, "post_training is True; expected options of post-training, or none"),
        ({"overrides": {"one": {}}}, "overrides has 'one': {}; expected a layer's name and options"),
        ({"threads": 0}, "threads is 0"),
        ({"workers": -1}, "workers is -1"),
    ],
)
def test_refuses(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)):
        TrainingOptions(**wrong)


def test_names_may_be_text() -> None:
    options = TrainingOptions(
        activation_range="clipped", regime="constant", optimizer="sgd"  # type: ignore[arg-type]  # as JSON has it
    )  # fmt: skip
    assert options.activation_range is ActivationRange.CLIPPED
    assert options.regime is Regime.CONSTANT
    assert options.optimizer is OptimizerKind.SGD


def test_every_option_is_judged() -> None:
    """A new field must not be forgotten by the tables that judge them."""
    judged = {*module._NAMES, *module._WHOLE_NUMBERS, *module._NUMBERS, *module._FLAGS}
    by_hand = {"learning_rate_steps", "augmentation", "post_training", "overrides"}
    assert judged | by_hand == {each.name for each in dataclasses.fields(TrainingOptions)}


def test_an_override_takes_names_and_refuses_others() -> None:
    override = TensorOverride(weights="PerLayerAsymMinMax", range_setting="min_max")  # type: ignore[arg-type]  # the same
    assert override.weights is WeightScheme.PER_LAYER_ASYM_MIN_MAX
    assert override.range_setting is RangeSetting.MIN_MAX
    assert override.folding is None
    with pytest.raises(RequestError, match=f"folding of an override is 'no'; expected one of: {', '.join(Folding)}"):
        TensorOverride(folding="no")  # type: ignore[arg-type]  # the same


def test_the_documentation_lists_every_option_with_its_default() -> None:
    text = (Path(__file__).parents[3] / "docs" / "training.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, flags=re.MULTILINE))
    names = ((None, "none"), (AugmentationOptions(), "none"))
    defaults = {each.name: getattr(TrainingOptions(), each.name) for each in dataclasses.fields(TrainingOptions)}
    assert listed == {
        name: next((shown for each, shown in names if value == each), str(value)) for name, value in defaults.items()
    }
