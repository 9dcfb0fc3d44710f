"""The sensitivity benchmark's own parts: who is asked, what is trained, tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import sensitivity
from benchmarks.outcome import Outcome
from benchmarks.sensitivity import BUDGETS, RULE, row_of, solutions_of, tables_of, trainings_of
from benchmarks.sensitivity_measures import SCHEME, diagonal_fisher
from benchmarks.shares import Share
from benchmarks.tasks import OURS, Task
from network.sensitivity.from_weights import weight_sensitivity
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.sensitivity.measuring import measure_sensitivity
from tests.qat.small_problem import problem, small_network

OUTCOME = Outcome(81.5, True, 81.25, 84.0, 82.0, 2, 3.5)


@pytest.fixture(scope="module")
def task() -> Task:
    return Task("small", small_network(), problem(64), OURS.replace(epochs=1, batch_size=16), is_quick=True)


def test_each_measure_and_the_rule_answer_every_budget_and_are_trained_with_every_seed(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kernels' code is most of the small network's flash: fewer bits than 8 need more of it.
    monkeypatch.setattr(sensitivity, "BUDGETS", (Share(1.0), Share(1.1)))
    table = weight_sensitivity(task.network, SCHEME)
    found = list(solutions_of(task, {"weights": table, "other": table}))
    assert [name for _, name, _ in found] == ["weights", "other", RULE] * 2
    share, name, solution = found[0]
    assert solution.allocation is not None
    trainings = trainings_of(share, name, solution, task, 3)
    assert [(each.options.epochs, each.options.seed) for each in trainings] == [(0, 0), (1, 0), (1, 1), (1, 2)]
    row = row_of(share, name, solution, [OUTCOME, replace(OUTCOME, percent=80.0), None, None])
    assert (row["untrained_percent"], row["trained_percent"]) == (81.5, [80.0])
    assert json.loads(json.dumps(row)) == row


def test_a_diagonal_table_has_the_fisher_measures_tensors(task: Task) -> None:
    options = SensitivityOptions(measure=Measure.FISHER, scheme=SCHEME, samples=16)
    labels = task.dataset.train_y
    assert labels is not None
    blocks = measure_sensitivity(task.network, task.dataset.train_x, labels, options)
    diagonal = diagonal_fisher(task.network, task.dataset.train_x)
    assert diagonal.weights.keys() == blocks.weights.keys()
    assert diagonal.activations.keys() == blocks.activations.keys()
    for row in diagonal.weights.values():
        assert row[8] < row[4] < row[2]


def test_tables_have_means_only_where_all_is_known() -> None:
    rows = [
        {
            "flash_share": share.flash,
            "ram_share": share.ram,
            "measure": measure,
            "untrained_percent": 40.0,
            "trained_percent": [70.0, 72.0] if measure == "fisher" or share.ram == 1 else [],
        }
        for share in BUDGETS
        for measure in ("fisher", RULE)
    ]
    told = tables_of(
        {
            "rows": rows,
            "epochs": 1,
            "train_images": 15_000,
            "test_images": 10_000,
            "seeds": 2,
            "seconds": {"fisher": 0.8},
        }
    )
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in told.splitlines() if line.startswith("|")]
    assert lines[2] == ["60 %", "71.00", "71.00"]
    assert lines[6] == ["45 %, RAM 35 %", "71.00", ""]
    assert lines[7] == ["mean", "71.00", ""]
    assert lines[-1] == ["seconds", "0.8", ""]


def test_wrong_input_is_one_line(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    for arguments in (["--table", str(other)], ["--epochs", "0"], ["--seeds", "none"], ["--train-images", "-1"]):
        result = CliRunner().invoke(sensitivity.main, arguments)
        assert result.exit_code == 2
        assert "Error: Invalid value" in result.output
