"""Training options: names from text, bounds, combinations that are refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from network.allocation import WeightScheme
from network.errors import RequestError
from network.option_fields import option_fields
from network.options import Options
from qat.options.sensitivity import SensitivityOptions
from qat.options.training import (
    ActivationRange,
    AugmentationOptions,
    LearningRateStep,
    OptimizerKind,
    PostTrainingOptions,
    RangeSetting,
    Regime,
    TensorOverride,
    TrainingOptions,
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": -1}, "epochs: expected a whole number from 0 to 10,000; it is -1"),
        ({"epochs": 10_001}, "epochs: expected a whole number from 0 to 10,000; it is 10001"),
        ({"epochs": 1.5}, "epochs: expected a whole number; it is 1.5"),
        ({"epochs": True}, "epochs: expected a whole number; it is true"),
        ({"batch_size": 1}, "batch_size: expected a whole number from 2 to 65,536"),
        ({"learning_rate": float("nan")}, "learning_rate: expected"),
        ({"learning_rate": "fast"}, "learning_rate: expected a number; it is 'fast'"),
        ({"validation_fraction": 0.0}, "validation_fraction: expected a number from 0.001 to 0.9"),
        ({"distillation": 1.1}, "distillation: expected a number from 0 to 1; it is 1.1"),
        ({"regime": "sine"}, "regime: expected one of: 'constant', 'step', 'cosine', 'one_cycle' or 'paper'"),
        ({"activation_range": None}, "activation_range: expected one of: 'learned', 'learned_step' or 'clipped'"),
        ({"optimizer": "lamb"}, "optimizer: expected one of: 'sgd', 'adam' or 'adamw'; it is 'lamb'"),
        ({"range_setting": "median"}, "range_setting: expected one of: 'min_max', 'percentile' or"),
        ({"train_on": "tpu"}, "train_on: expected one of: 'auto', 'cpu' or 'cuda'; it is 'tpu'"),
        ({"precision": "int8"}, "precision: expected one of: 'float32' or 'bfloat16'; it is 'int8'"),
        ({"compile": True}, "compile: expected one of: 'auto', 'on' or 'off'; it is true"),
        ({"regime": "step"}, "the regime step requires at least one entry"),
        ({"learning_rate_steps": ((1, 0.1),)}, "the other regimes allow none"),
        ({"regime": "step", "learning_rate_steps": ((3, 0.1), (2, 0.1))}, "each epoch once, in ascending order"),
        (
            {"regime": "step", "learning_rate_steps": ((1,),)},
            "learning_rate_steps.0: a list of length 1 was given; expected a pair",
        ),
        (
            {"regime": "step", "learning_rate_steps": ((0, 0.1),)},
            "learning_rate_steps.0.epoch: expected a whole number from 1 to 10,000",
        ),
        ({"regime": "step", "learning_rate_steps": ((1, 11),)}, "0.learning_rate: expected a number from 0 to 10"),
        ({"nesterov": 1}, "nesterov: expected true or false; it is 1"),
        (
            {"nesterov": True},
            "nesterov is true with the optimizer adam and momentum 0.9; expected the optimizer sgd with",
        ),
        ({"nesterov": True, "optimizer": "sgd", "momentum": 0.0}, "expected the optimizer sgd with a momentum"),
        (
            {"regime": "paper", "optimizer": "sgd"},
            "the regime paper is chosen with the optimizer sgd; expected the optimizer adam",
        ),
        ({"oscillation_threshold": 0.01, "oscillation_threshold_at_end": 0.02}, "expected at most oscillation_thresh"),
        ({"gradual_bits": 1.0}, "gradual_bits: expected a number from 0 to 0.9; it is 1.0"),
        ({"augmentation": "blur"}, "augmentation: expected an object of augmentation options, or one of: none, shift"),
        ({"augmentation": True}, "augmentation: expected an object; it is true"),
        ({"post_training": True}, "post_training: expected an object; it is true"),
        ({"overrides": {"one": 1}}, "overrides.one: expected an object; it is 1"),
        ({"overrides": {1: {}}}, "overrides.1.[key]: expected text; it is 1"),
        ({"threads": 0}, "threads: expected a whole number from 1 to 1,024; it is 0"),
        ({"workers": -1}, "workers: expected a whole number from 0 to 256; it is -1"),
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


@pytest.mark.parametrize(
    "model",
    [TrainingOptions, AugmentationOptions, PostTrainingOptions, TensorOverride, LearningRateStep, SensitivityOptions],
)
def test_every_number_has_both_bounds_and_every_option_a_description(model: type[Options]) -> None:
    for field in option_fields(model):
        assert field.description, field.name
        for kind in field.kinds:
            bounds = (kind.minimum, kind.maximum)
            assert kind.type not in {"integer", "number"} or None not in bounds, field.name
            assert kind.type != "string" or kind.choices, field.name


def test_a_changed_copy_is_checked() -> None:
    options = TrainingOptions(epochs=2, overrides={"one": TensorOverride()})
    assert options.replace(epochs=3) == TrainingOptions(epochs=3, overrides={"one": TensorOverride()})
    with pytest.raises(RequestError, match="epochs: expected a whole number from 0 to 10,000"):
        options.replace(epochs=-1)
    with pytest.raises(RequestError, match="epoch: there is no such field"):
        options.replace(epoch=1)


def test_a_pair_becomes_a_learning_rate_step() -> None:
    steps = (LearningRateStep(epoch=2, learning_rate=0.1), LearningRateStep(epoch=4, learning_rate=0.01))
    given: list[Any] = [[2, 0.1], {"epoch": 4, "learning_rate": 0.01}]
    assert TrainingOptions(regime=Regime.STEP, learning_rate_steps=given).learning_rate_steps == steps  # type: ignore[arg-type]  # as JSON has it


def test_an_override_takes_names_and_refuses_others() -> None:
    override = TensorOverride(weights="PerLayerAsymMinMax", range_setting="min_max")  # type: ignore[arg-type]  # the same
    assert override.weights is WeightScheme.PER_LAYER_ASYM_MIN_MAX
    assert override.range_setting is RangeSetting.MIN_MAX
    assert override.folding is None
    with pytest.raises(RequestError, match="folding: expected one of: 'folding_weights' or 'ICN'; it is 'no'"):
        TensorOverride(folding="no")  # type: ignore[arg-type]  # the same
