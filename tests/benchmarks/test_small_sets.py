"""The accuracy benchmark on small sets: the order of samples, who trains how, and what the tables tell."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import accuracy
from benchmarks.balanced_order import balanced_order
from benchmarks.contenders import Contender, Name, contenders, sensitivity_of
from benchmarks.outcome import Outcome
from benchmarks.shares import Share
from benchmarks.small_set_summary import cells_of, summary
from benchmarks.small_set_summary import main as summary_main
from benchmarks.small_set_tables import small_set_tables, verdicts
from benchmarks.small_sets import (
    ABLATION,
    ABLATION_NAMES,
    BREVITAS,
    DEFAULT_SEEDS,
    DEFAULTS,
    GRID,
    NAMES,
    POST_TRAINING,
    entry_of,
    row_of,
    standard_error,
)
from benchmarks.tasks import OURS, Task
from network.memory.books import accounting_named
from qat.data.dataset import labelled
from qat.options.training import TrainingOptions
from tests.qat.small_problem import CLASSES, problem, small_network

OUTCOME = Outcome(80.0, True, 80.0, 84.0, 82.0, 2, 3.5)


@pytest.fixture(scope="module")
def task() -> Task:
    whole = Task("small", small_network(), problem(256), OURS.replace(threads=1), is_quick=True)
    return whole.with_samples(40)


@pytest.fixture(scope="module")
def bits(task: Task) -> list[Contender]:
    shares = [Share(0.8), Share(0.1)]
    return list(contenders(task, sensitivity_of(task), shares, [Name.EXACT], accounting_named("paper")))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_any_beginning_of_the_order_is_balanced(labels: list[int], data: st.DataObject) -> None:
    given_labels = np.array(labels, dtype=np.int64)
    order = balanced_order(given_labels)
    assert sorted(order.tolist()) == list(range(len(labels)))
    size = data.draw(st.integers(1, len(labels)))
    taken = np.bincount(given_labels[order[:size]], minlength=5)
    whole = np.bincount(given_labels, minlength=5)
    most = taken.max()
    assert all(count >= min(most - 1, there) for count, there in zip(taken, whole, strict=True))


def test_the_order_is_random_but_fixed() -> None:
    labels = np.repeat(np.arange(4, dtype=np.int64), 25)
    order = balanced_order(labels)
    assert (order == balanced_order(labels.copy())).all()
    assert (order != np.argsort(labels, kind="stable")).any()
    assert len({labels[order[start : start + 4]].tobytes() for start in range(0, 100, 4)}) > 5


def test_a_small_set_has_the_samples_of_the_order(task: Task) -> None:
    whole = problem(256)
    chosen = balanced_order(labelled(whole.train_y))[:40]
    assert np.array_equal(np.asarray(task.dataset.train_x[np.arange(40)]), np.asarray(whole.train_x[chosen]))
    labels = labelled(task.dataset.train_y)
    assert np.array_equal(labels, labelled(whole.train_y)[chosen])
    assert np.bincount(labels).tolist() == [40 // CLASSES] * CLASSES
    assert len(task.dataset.test_x) == len(whole.test_x)
    with pytest.raises(ValueError, match="41 samples were asked for; small has 40"):
        task.with_samples(41)


def test_the_defaults_have_no_option_but_the_seed(task: Task, bits: list[Contender]) -> None:
    trainings = entry_of(DEFAULTS, bits[0], task).trainings
    assert [each.options for each in trainings] == [
        TrainingOptions(seed=seed, threads=1) for seed in range(DEFAULT_SEEDS)
    ]
    assert all(each.allocation is bits[0].allocation for each in trainings)


def test_the_others_have_one_seed_and_differ(task: Task, bits: list[Contender]) -> None:
    others = [entry_of(name, bits[0], task).trainings for name in NAMES if name != DEFAULTS]
    assert all(len(each) == 1 for each in others)
    assert len(GRID) <= 4
    assert not any("," in name for name in NAMES)  # commas separate the names of --methods
    assert len({each[0].key for each in others}) == len(others)
    assert [each[0].by_brevitas for each in others] == [name == BREVITAS for name in NAMES if name != DEFAULTS]
    (unlabelled,) = entry_of(POST_TRAINING, bits[0], task).trainings
    assert unlabelled.options.epochs == 0
    assert unlabelled.options.post_training is not None


def test_the_grid_names_what_a_default_may_change() -> None:
    """If a default changes, hand-set options stay: each field that the recipe may choose has a value of its own."""
    for options in GRID.values():
        missing = [name for name, value in options.model_dump().items() if value is None]
        assert set(missing) <= {"task", "threads", "workers"}


def test_the_ablation_replaces_one_choice_at_a_time(task: Task, bits: list[Contender]) -> None:
    assert not any("," in name for name in ABLATION_NAMES)
    keys = {entry_of(name, bits[0], task, seeds=1).trainings[0].key for name in ABLATION_NAMES}
    assert len(keys) == len(ABLATION_NAMES)
    chosen_by_recipe = TrainingOptions()
    for name, options in ABLATION.items():
        given = {each for each, value in options if value != getattr(chosen_by_recipe, each)}
        assert given in ({"epochs", "batch_size"}, *({each} for each in given)), name


def test_what_the_recipe_chooses_anyway_has_the_key_of_the_defaults(task: Task, bits: list[Contender]) -> None:
    """40 samples: training starts post-trained, which freezes batch norm and makes rates relative; the loss chooses the
    best state.
    """
    keys = {name: entry_of(name, bits[0], task, seeds=1).resolved().trainings[0].key for name in ABLATION_NAMES}
    same = {name for name, key in keys.items() if key == keys[DEFAULTS]}
    assert same == {DEFAULTS, "batch norm frozen", "best by loss", "relative rates"}
    (by_hand,) = entry_of(next(iter(GRID)), bits[0], task).trainings
    assert by_hand.resolved() is by_hand


def test_where_nothing_fits_nothing_trains(task: Task, bits: list[Contender]) -> None:
    entry = entry_of(DEFAULTS, bits[1], task)
    assert entry.trainings == ()
    row = row_of(entry, [], 64)
    assert (row["percent"], row["standard_error"]) == ([], None)
    assert verdicts([row])[0].startswith("10 %: nothing fits; flash: at least")


@pytest.mark.parametrize(
    ("percents", "samples", "expected"),
    [
        ([50.0], 100, 5.0),  # sqrt(0.5 * 0.5 / 100)
        ([90.0], 10_000, 0.3),
        ([100.0], 300, 0.3317),  # as 301 of 302
        ([89.0, 91.0], 10**12, 1.0),  # the seeds alone: their standard deviation, sqrt(2), by sqrt(2)
        ([49.0, 51.0], 2500, np.sqrt(1 + 1)),
    ],
)
def test_standard_error(percents: list[float], samples: int, expected: float) -> None:
    assert standard_error(percents, samples) == pytest.approx(expected, abs=2e-4)


def rows(percents: dict[str, list[float]], test_samples: int) -> list[dict[str, object]]:
    return [
        {
            "flash_share": 0.5, "ram_share": 1.0, "name": name, "shortage": None, "is_by_hand": name in GRID,
            "is_integer_only": name != BREVITAS, "percent": each, "standard_error": standard_error(each, test_samples),
            "seconds": [2.0] * len(each),
        }
        for name, each in percents.items()
    ]  # fmt: skip


def test_the_defaults_are_flagged_only_beyond_half_a_point_and_two_standard_errors() -> None:
    first, second, *_ = GRID

    def verdict(defaults: float, by_hand: float, unlabelled: float, test_samples: int) -> str:
        given_rows = rows(
            {DEFAULTS: [defaults] * 3, POST_TRAINING: [unlabelled], first: [by_hand - 1], second: [by_hand]},
            test_samples,
        )
        (line,) = verdicts(given_rows)
        return line

    few, many = 100, 10**6
    assert "**below**" not in verdict(80.0, 80.4, 80.0, many)
    assert verdict(80.0, 80.6, 80.0, many) == (
        f"50 %: **below**, -0.60 points against the best of the grid ({second}), two standard errors are 0.11; "
        "+0.00 points against post-training alone, two standard errors are 0.11"
    )
    assert "**below**" not in verdict(80.0, 88.0, 88.0, few)
    assert verdict(80.0, 88.0, 80.4, few).count("*lower, not for certain*") == 1
    assert "not for certain" not in verdict(80.0, 80.4, 80.0, many)
    assert verdict(80.0, 80.0, 80.4, many).count("**below**") == 1
    assert verdict(80.0, 81.0, 81.0, many).count("**below**") == 2


def test_the_summary_has_each_cell_and_their_mean(tmp_path: Path) -> None:
    first, second, *_ = GRID
    here = rows({DEFAULTS: [80.0, 82.0], POST_TRAINING: [84.0], first: [80.5], second: [83.0]}, 10**6)
    there = [
        dict(row, flash_share=0.3)
        for row in rows({DEFAULTS: [70.0], POST_TRAINING: [], first: [69.0], BREVITAS: [75.0]}, 10**6)
    ]
    missing = [dict(row, flash_share=0.2) for row in rows({DEFAULTS: [], first: [69.0]}, 10**6)]
    result = {"network": "small", "train_images": 1000, "rows": [*here, *there, *missing]}
    half, third = cells_of(result)
    assert (half.name, half.best, half.grid_measured) == ("small, 1,000, 50 %", second, 2)
    assert half.to_grid.points == pytest.approx(-2)
    assert half.to_grid.doubtful == pytest.approx(2, abs=0.01)  # the seeds: sqrt(2) / sqrt(2), twice
    assert half.to_post_training is not None
    assert half.to_post_training.is_below
    assert (third.best, third.to_post_training) == (first, None)
    assert third.to_grid.points == pytest.approx(1)
    told = summary([half, third])
    assert "mean against the best of the grid: -0.50 points" in told
    assert "worst cell: small, 1,000, 50 %, -2.00 points" in told
    assert "two standard errors: small, 1,000, 50 %" in told
    file = tmp_path / "small.json"
    file.write_text(json.dumps(result))
    assert CliRunner().invoke(summary_main, [str(file)]).output == f"{told}\n"
    file.write_text(json.dumps(result | {"rows": missing}))
    assert CliRunner().invoke(summary_main, [str(file)]).exit_code == 1


def test_what_was_not_run_is_said() -> None:
    (first, *_) = GRID
    measured = rows({DEFAULTS: [], POST_TRAINING: [70.0], first: [], BREVITAS: [69.0]}, 100)
    assert verdicts(measured) == ["50 %: the defaults were not measured"]
    assert verdicts(rows({DEFAULTS: [70.0]}, 100)) == ["50 %: the others were not measured"]
    result = {
        "network": "small", "is_small_set": True, "accounting": "paper", "train_images": 40, "test_images": 100,
        "float_percent": 84.0, "rows": measured,
    }  # fmt: skip
    shown = small_set_tables(result)
    lines = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in shown.splitlines() if "|" in line]
    assert [DEFAULTS, "not measured"] in lines
    assert [BREVITAS, "69.00 ± 4.64 \\*"] in lines
    assert "small: 40 training and 100 test samples, float 84.00 %" in shown


def test_the_command_measures_a_small_set(
    task: Task, bits: list[Contender], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = replace(task, name="dscnn", dataset=problem(256))
    monkeypatch.setattr("benchmarks.run_options.task_named", lambda _name: whole)
    kept = tmp_path / "kept.jsonl"
    asked = ["--network", "dscnn", "--samples", "40", "--threads", "1", "--keep", str(kept), "--json"]
    ran = CliRunner().invoke(accuracy.main, [*asked, "--methods", DEFAULTS, "--seeds", "2", "--only", "50 %"])
    assert ran.exit_code == 0, ran.output
    (row,) = json.loads(ran.stdout)["rows"]
    assert len(row["percent"]) == 2
    assert all(0 <= percent <= 100 for percent in row["percent"])
    lines = kept.read_text()
    again = CliRunner().invoke(accuracy.main, [*asked, "--methods", f"{DEFAULTS},{POST_TRAINING}", "--kept-only"])
    rows_again = json.loads(again.stdout)["rows"]
    assert [len(each["percent"]) for each in rows_again] == [2, 0, 0, 0]
    assert rows_again[0]["percent"] == row["percent"]
    assert kept.read_text() == lines
    file = tmp_path / "result.json"
    file.write_text(ran.stdout)
    table = CliRunner().invoke(accuracy.main, ["--table", str(file)])
    assert (table.exit_code, table.output) == (0, f"{small_set_tables(json.loads(ran.stdout))}\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--samples", "40", "--methods", "best"], "expected one of"),
        (["--samples", "40", "--epochs", "3"], "cannot be given with --samples"),
        (["--samples", "40", "--peers"], "cannot be given with --samples"),
        (["--samples", "40", "--precision", "bfloat16"], "cannot be given with --samples"),
        (["--ablation"], "--ablation needs --samples"),
        (["--samples", "257"], "257 samples were asked for"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    task: Task, arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(task, dataset=problem(256))
    monkeypatch.setattr("benchmarks.run_options.task_named", lambda _name: whole)
    ran = CliRunner().invoke(accuracy.main, arguments)
    assert ran.exit_code == 1
    assert told in ran.output


def test_trainings_are_known_by_their_small_set(task: Task, bits: list[Contender]) -> None:
    entry = entry_of(DEFAULTS, bits[0], task, seeds=1)
    smaller = entry_of(DEFAULTS, bits[0], task.with_samples(20), seeds=1)
    assert entry.trainings[0].key != smaller.trainings[0].key
    assert entry.trainings[0].key == entry_of(DEFAULTS, bits[0], task, seeds=3).trainings[0].key
