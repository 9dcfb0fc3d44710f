"""Training options by JSON, by a file and by flags: equal results, with defaults for all other options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from api.cli.model_options import model_of, model_options
from network.allocation import WeightScheme
from network.errors import RequestError
from qat.options.augmentation import PRESETS, AugmentationOptions
from qat.options.training import (
    LearningRateStep,
    OptimizerKind,
    PostTrainingOptions,
    Regime,
    TensorOverride,
    TrainingOptions,
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"augmentation": "flip_shift"}, {"augmentation": PRESETS["flip_shift"]}),
        ({"augmentation": {"mixup": 0.3}}, {"augmentation": AugmentationOptions(mixup=0.3)}),
        ({"augment": True}, {"augmentation": PRESETS["flip_shift"]}),
        ({"augment": False}, {}),
        ({"post_training": {}}, {"post_training": PostTrainingOptions()}),
        (
            {"overrides": {"fc": {"weights": "PerLayerAsymMinMax"}}},
            {"overrides": {"fc": TensorOverride(weights=WeightScheme.PER_LAYER_ASYM_MIN_MAX)}},
        ),
        (
            {"regime": "step", "learning_rate_steps": [[2, 0.1]]},
            {"regime": "step", "learning_rate_steps": (LearningRateStep(epoch=2, learning_rate=0.1),)},
        ),
        ({"optimizer": "sgd", "nesterov": True}, {"optimizer": OptimizerKind.SGD, "nesterov": True}),
    ],
)
def test_json_becomes_options(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    assert TrainingOptions.model_validate_json(json.dumps(asked)) == TrainingOptions(**expected)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"augmentation": "blur"},
            "augmentation: expected an object .*, or one of: none, .*; it is 'blur'",
        ),
        (
            {"post_training": {"rounding": "up"}},
            "rounding: expected one of: 'nearest' or 'learned'; it is 'up'",
        ),
        ({"overrides": {"fc": {"weights": "Int8"}}}, "overrides.fc.weights: expected one of: .*; it is 'Int8'"),
    ],
)
def test_what_makes_no_sense_is_told(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        TrainingOptions(**asked)
    with pytest.raises(ValidationError):
        TrainingOptions.model_validate(asked)


@pytest.mark.parametrize("asked", [{"augment": 1}, {"augment": True, "augmentation": "none"}, {"overrides": {"a": 1}}])
def test_other_forms_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrainingOptions.model_validate(asked)


def options_of(*arguments: str, file: Path | None = None) -> TrainingOptions:
    """Return the options that a command makes from its arguments."""
    found: list[TrainingOptions] = []

    @click.command()
    @model_options(TrainingOptions)
    def command(**given: Any) -> None:
        found.append(model_of(TrainingOptions, given, file))

    result = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return found[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--epochs=7", "--nesterov", "--optimizer=sgd"], {"epochs": 7, "nesterov": True, "optimizer": "sgd"}),
        (["--augmentation=imagenet"], {"augmentation": PRESETS["imagenet"]}),
        (["--post-training"], {"post_training": PostTrainingOptions()}),
        (["--post-training-samples=32"], {"post_training": PostTrainingOptions(samples=32)}),
        (
            ["--no-post-training-equalization", "--post-training-rounding", "nearest"],
            {"post_training": PostTrainingOptions(equalization=False, rounding="nearest")},  # type: ignore[arg-type]
        ),
        (
            ["--regime=step", "--learning-rate-step", "2", "0.1"],
            {"regime": "step", "learning_rate_steps": [{"epoch": 2, "learning_rate": 0.1}]},
        ),
    ],
)
def test_flags_become_options(arguments: list[str], expected: dict[str, Any]) -> None:
    assert options_of(*arguments) == TrainingOptions(**expected)


def test_flags_go_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "training.json"
    file.write_text(
        json.dumps(
            {
                "epochs": 9,
                "batch_size": 16,
                "overrides": {"fc": {"folding": "ICN"}},
                "post_training": {"samples": 64, "seed": 5},
            }
        )
    )
    options = options_of("--epochs=2", "--post-training-samples=32", file=file)
    assert (options.epochs, options.batch_size) == (2, 16)
    assert options.post_training == PostTrainingOptions(samples=32, seed=5)
    assert list(options.overrides) == ["fc"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "does not contain a JSON object; expected training options"),
        ('{"epoch": 3}', "epoch: there is no such field"),
        ('{"epochs": "three"}', "epochs: expected a whole number; it is 'three'"),
        ("{", "is not valid JSON"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "training.json"
    file.write_text(content)
    with pytest.raises(RequestError, match=message):
        options_of(file=file)


def test_options_survive_json() -> None:
    """The database stores the request of a job as JSON, and the worker reads it."""
    options = TrainingOptions(
        regime=Regime.STEP,
        learning_rate_steps=(LearningRateStep(epoch=2, learning_rate=0.1),),
        augmentation=PRESETS["imagenet"],
        post_training=PostTrainingOptions(seed=3),
        overrides={"fc": TensorOverride(weights=WeightScheme.PER_LAYER_ASYM_MIN_MAX)},
    )
    document = options.model_dump(mode="json")
    assert document["augmentation"] == "imagenet"
    assert options.replace(augmentation={"shift": 0.1}).model_dump(mode="json")["augmentation"]["shift"] == 0.1
    assert TrainingOptions.model_validate(document) == options
    assert TrainingOptions.model_validate_json(options.model_dump_json()) == options
