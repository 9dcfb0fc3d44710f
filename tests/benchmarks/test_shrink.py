"""The benchmark of `shrink`: its hand-picked budgets, its table, and its continuation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from api.schemas.shrink import ShrinkRequest, ShrinkTrainingOptions
from benchmarks import shrink
from benchmarks.shrink import Case, shown
from benchmarks.tasks import OURS, Task
from network.memory.books import BookName
from qat.options.post_training import PostTrainingOptions
from tests.qat.small_problem import problem, small_network


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    task = Task("small", small_network(), problem(300), OURS, is_quick=True)
    request = ShrinkRequest(max_loss=5.0, points=6, accounting=BookName.PAPER)
    options = ShrinkTrainingOptions(threads=1, post_training=PostTrainingOptions(rounding_steps=3))
    return Case(task, request, options, tmp_path_factory.mktemp("shrink"))


def test_hand_picked_budgets_are_judged_like_the_points(case: Case) -> None:
    report = case.searched()
    assert report.float_quality is not None
    rows = [case.hand_picked(share, report.float_quality) for share in (1.0, 0.6, 0.01)]
    assert [row["fits"] for row in rows] == [True, True, False]
    assert all(row["flash_bytes"] <= row["budget_bytes"] for row in rows[:2])
    # The largest point of the search has the same bits as the whole budget.
    assert rows[0]["flash_bytes"] == report.points[-1].flash_bytes
    assert rows[0]["loss"] == report.points[-1].loss
    assert case.hand_picked(0.6, report.float_quality) | {"seconds": 0} == rows[1] | {"seconds": 0}


MEASURED: dict[str, Any] = {
    "network": "small", "max_loss": 0.5, "epochs": 0, "accounting": "paper", "held_out_samples": 5000,
    "float_quality": 84.0, "seconds": 61.2, "chosen": 1, "sentences": [],
    "points": [
        {"flash_bytes": 20_000, "loss": 0.7, "keeps_limit": False, "test": 83.1},
        {"flash_bytes": 24_000, "loss": 0.4, "keeps_limit": True, "test": None},
    ],
    "hand_picked": [
        {"share": 0.8, "fits": True, "flash_bytes": 40_000, "loss": 0.0, "keeps_limit": True, "test": 84.0},
        {"share": 0.5, "fits": True, "flash_bytes": 25_000, "loss": 0.3, "keeps_limit": True, "test": 83.9},
        {"share": 0.4, "fits": True, "flash_bytes": 20_500, "loss": 0.6, "keeps_limit": False, "test": 83.0},
        {"share": 0.3, "fits": False},
    ],
}  # fmt: skip


def test_the_table_names_the_best_of_both() -> None:
    text = shown(MEASURED)
    assert "| 2 " in text
    assert "24,000" in text
    assert "nothing fits" in text
    assert text.count("**the best**") == text.count("**the least found**") == 1
    assert "The search finds 24,000 bytes, 1,000 bytes less than the best hand-picked budget, 25,000 bytes." in text


def test_a_recorded_output_is_shown_without_measuring(tmp_path: Path) -> None:
    (tmp_path / "measured.json").write_text(json.dumps(MEASURED))
    shown_again = CliRunner().invoke(shrink.main, ["--table", str(tmp_path / "measured.json")])
    assert shown_again.exit_code == 0
    assert shown_again.output.strip() == shown(MEASURED).strip()
