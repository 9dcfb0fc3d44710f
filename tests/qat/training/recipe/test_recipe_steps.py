"""The recipe's batch size and epochs: bounds, the aimed number of steps, memory, and values that were given."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qat.data.batches import steps_of_epoch
from qat.options.post_training import NO_POST_TRAINING
from qat.options.training import TrainingOptions
from qat.progress import silent
from qat.training.memory_warning import training_bytes
from qat.training.parallel import Processes
from qat.training.recipe import memory
from qat.training.recipe.memory import SHARE_OF_MACHINE, fitting_batch, total_memory_bytes
from qat.training.recipe.recipe import Recipe, recipe_for
from qat.training.recipe.steps import ENOUGH_STEPS, MOST_EPOCHS, batch_size_for, epochs_for
from qat.training.reporting import Reporter
from tests.qat.small_problem import allocated, problem, small_network, trained

CPU = torch.device("cpu")


def recipe_of(options: TrainingOptions, samples: int = 256) -> Recipe:
    return recipe_for(small_network(), allocated(), problem(samples), options, CPU, Processes(CPU), Reporter(silent, 0))


@pytest.mark.parametrize(
    ("samples", "batch_size", "epochs"),
    [(135, 16, 30), (540, 16, 30), (900, 16, 18), (4_500, 64, 15), (45_000, 128, 3), (1_200_000, 128, 3)],
)
def test_small_sets_get_small_batches_and_many_epochs(samples: int, batch_size: int, epochs: int) -> None:
    chosen, reason = batch_size_for(samples, None, 1)
    assert (chosen, epochs_for(samples, chosen, 10**6)[0]) == (batch_size, epochs)
    assert f"{samples:,}" in reason


@given(st.integers(2, 10**7), st.integers(2, 512))
def test_steps_reach_the_aim_unless_a_bound_of_epochs_is_met(samples: int, batch_size: int) -> None:
    epochs, _ = epochs_for(samples, batch_size, 0)
    of_epoch = steps_of_epoch(samples, batch_size)
    assert 3 <= epochs <= MOST_EPOCHS
    assert epochs == MOST_EPOCHS or epochs * of_epoch >= ENOUGH_STEPS
    assert epochs == 3 or (epochs - 1) * of_epoch < ENOUGH_STEPS


@pytest.mark.parametrize(("multiply_accumulates", "epochs"), [(10**8, 18), (10**9, 6), (10**10, 3)])
def test_large_networks_get_fewer_epochs(multiply_accumulates: int, epochs: int) -> None:
    chosen, reason = epochs_for(900, 16, multiply_accumulates)
    assert chosen == epochs
    assert ("multiply-accumulates" in reason) == (chosen == 6)


@given(st.integers(2, 10**7), st.integers(0, 10**4), st.integers(1, 8))
def test_a_batch_fits_the_memory_and_the_processes(samples: int, fitting: int, processes: int) -> None:
    chosen, _ = batch_size_for(samples, fitting, processes)
    assert chosen >= 2 * processes
    assert chosen <= max(fitting, 2 * processes)


def test_the_fitting_batch_takes_at_most_the_stated_share(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small_network()
    monkeypatch.setattr(memory, "total_memory_bytes", lambda processor: 10 * training_bytes(network, 1))
    fitting = fitting_batch(network, 1, CPU)
    assert fitting is not None
    available = SHARE_OF_MACHINE * 10 * training_bytes(network, 1)
    assert training_bytes(network, fitting) <= available < training_bytes(network, fitting + 1)


def test_this_machine_has_memory() -> None:
    total = total_memory_bytes(CPU)
    assert total is None or total > 2**28


def test_values_that_are_given_stay_and_are_not_in_the_recipe() -> None:
    given_options = TrainingOptions(epochs=7, batch_size=20, seed=5)
    found = recipe_of(given_options)
    assert (found.options.epochs, found.options.batch_size, found.options.seed) == (7, 20, 5)
    assert not {choice.option for choice in found.choices} & {"epochs", "batch_size"}


def test_a_given_batch_size_decides_the_epochs() -> None:
    found = recipe_of(TrainingOptions(batch_size=2), samples=1000)
    assert found.options.epochs == 3
    assert "batch_size" not in {choice.option for choice in found.choices}


def test_complete_options_are_complete_for_a_recipe_too() -> None:
    first = recipe_of(TrainingOptions())
    again = recipe_of(first.options)
    assert again.options == first.options
    assert again.choices == ()


def test_a_run_follows_its_recipe_and_reports_it() -> None:
    texts: list[tuple[str, ...]] = []
    result = trained(
        TrainingOptions(batch_size=115, post_training=NO_POST_TRAINING, threads=1),
        report=lambda progress: texts.append(progress.recipe),
    )
    assert len(result.epochs) == 1 + MOST_EPOCHS  # two steps of an epoch
    assert set(texts) - {()} == {tuple(map(str, result.recipe))}
    assert np.all([choice.reason for choice in result.recipe])
