"""The recipe's start and measure: limits of the number of samples, and the post-trained network as epoch 0."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from network.errors import RequestError
from qat.options.names import BestBy
from qat.options.post_training import NO_POST_TRAINING, PostTrainingOptions
from qat.options.training import TrainingOptions
from qat.progress import silent
from qat.training.parallel import Processes
from qat.training.recipe.recipe import recipe_for
from qat.training.recipe.start import FEW_SAMPLES, MANY_HELD_OUT, ROUNDING_STEPS, best_by_for, start_for
from qat.training.reporting import Reporter
from tests.qat.small_problem import QUICK, allocated, problem, small_network, trained

CPU = torch.device("cpu")


def chosen_with(bits: Any = 4, **given: Any) -> dict[str, str]:
    recipe = recipe_for(
        small_network(), allocated(bits=bits), problem(), TrainingOptions(**given), CPU, Processes(CPU),
        Reporter(silent, 0),
    )  # fmt: skip
    return {choice.option: choice.value for choice in recipe.choices}


def test_few_samples_start_at_the_post_trained_network() -> None:
    few, _ = start_for(FEW_SAMPLES, allocated(bits=4))
    assert few == PostTrainingOptions(rounding_steps=ROUNDING_STEPS, rounding_margin=0.25)
    assert start_for(FEW_SAMPLES + 1, allocated(bits=4))[0] is NO_POST_TRAINING
    assert start_for(FEW_SAMPLES, allocated(bits=8))[0] is NO_POST_TRAINING


def test_many_held_out_samples_are_compared_by_quality() -> None:
    assert best_by_for(MANY_HELD_OUT)[0] is BestBy.QUALITY
    chosen, reason = best_by_for(MANY_HELD_OUT - 1)
    assert chosen is BestBy.LOSS
    assert "999 held-out samples" in reason


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, {"post_training": f"{ROUNDING_STEPS} rounding steps of each block, margin 0.25", "best_by": "loss"}),
        ({"bits": 8}, {"post_training": "false", "best_by": "loss"}),
        ({"post_training": False, "best_by": "quality"}, {}),
        ({"post_training": PostTrainingOptions()}, {"best_by": "loss"}),
        ({"epochs": 0}, {}),
    ],
)
def test_what_is_given_is_not_chosen(given: dict[str, Any], told: dict[str, str]) -> None:
    found = chosen_with(**given)
    assert found or given == {"epochs": 0}
    assert {name: found[name] for name in ("post_training", "best_by") if name in found} == told


def test_false_is_short_for_options_that_improve_nothing() -> None:
    options = TrainingOptions(post_training=False)  # type: ignore[arg-type]  # as in JSON
    assert options.post_training == NO_POST_TRAINING
    assert not NO_POST_TRAINING.improves
    with pytest.raises(RequestError, match="post_training"):
        TrainingOptions(post_training=True)  # type: ignore[arg-type]  # as in JSON


def test_a_run_starts_at_what_the_recipe_chose_and_tells_the_float_networks_figure() -> None:
    phases: list[str] = []
    options = QUICK.replace(epochs=1, post_training=None, best_by=None, calibration_samples=64)
    result = trained(options, report=lambda progress: phases.append(progress.phase))
    assert "learning rounding" in phases
    assert [epoch.float_distance is None for epoch in result.epochs] == [False, False]
    assert len({epoch.float_quality for epoch in result.epochs}) == 1
