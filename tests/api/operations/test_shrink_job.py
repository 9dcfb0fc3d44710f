"""A search for the least bytes in one process, on a regression."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from api.operations.shrink.job import ShrinkJob, run_shrink_job
from api.schemas.answer import NetworkName
from api.schemas.shrink import ShrinkRequest, ShrinkTrainingOptions
from network.memory.books import BookName
from qat.data.dataset import Dataset
from qat.options.post_training import PostTrainingOptions
from qat.prepare import float_module
from qat.progress import Progress, silent
from qat.training.evaluation import of_module
from tests.api.small_files import tiny_network
from tests.qat.fan_outs import Pickled


def regression(**options: Any) -> ShrinkJob:
    rng, network = np.random.default_rng(5), tiny_network()
    x = rng.standard_normal((400, 1, 4, 4)).astype(np.float32)
    y = of_module(float_module(network), network, torch.device("cpu"))(x)
    y += rng.normal(0, 0.2, y.shape).astype(np.float32)
    return ShrinkJob(
        network=network,
        network_name=NetworkName(id="", name="numbers"),
        request=ShrinkRequest(max_loss=0.05, points=6, accounting=BookName.PAPER, sensitivity="weights"),
        dataset=Dataset("numbers", x, y, x[:50], y[:50]),
        options=ShrinkTrainingOptions(threads=1, post_training=PostTrainingOptions(rounding_steps=4)),
        **options,
    )


def test_a_regression_loses_r2(tmp_path: Path) -> None:
    report, _ = run_shrink_job(regression(), tmp_path / "out", report=silent)
    assert (report.task, report.metric, report.unit) == ("regression", "r2", "1")
    assert report.best is not None
    assert report.best.loss is not None
    assert report.best.loss <= 0.05
    assert "0.0500 R2" in " ".join(report.sentences)


def without_times(document: Any) -> Any:
    """Return a report without elapsed times, which differ between two runs, and without sentences, which have them."""
    if isinstance(document, dict):
        kept = {name for name in document if not name.endswith("seconds") and name != "sentences"}
        return {name: without_times(document[name]) for name in kept}
    return [without_times(each) for each in document] if isinstance(document, list) else document


@pytest.mark.parametrize("width", [2, 4])
def test_points_that_are_trained_together_are_those_of_a_search_one_by_one(tmp_path: Path, width: int) -> None:
    alone, together, places = tmp_path / "alone", tmp_path / "together", Pickled(width)
    run_shrink_job(regression(), alone, report=silent)
    told: list[Progress] = []
    job = regression(fan_out=places)
    run_shrink_job(job, together, report=told.append, checkpoint_directory=tmp_path / "kept")
    files = {path.relative_to(alone) for path in alone.rglob("*") if path.is_file()}
    assert files == {path.relative_to(together) for path in together.rglob("*") if path.is_file()}
    for path in files:
        if path.name == "report.json":
            reports = [json.loads((folder / path).read_text()) for folder in (alone, together)]
            assert without_times(reports[0]) == without_times(reports[1])
        else:
            assert (alone / path).read_bytes() == (together / path).read_bytes(), path
    assert max(places.widths) > 1
    assert max(places.widths) <= width
    judged = len(json.loads((alone / "report.json").read_text())["points"])
    assert len(places.widths) < judged, "fewer rounds than points"
    assert {progress.point for progress in told} - {None} <= set(range(1, judged + 1))
    later = Pickled(width)
    run_shrink_job(regression(fan_out=later), tmp_path / "again", report=silent, checkpoint_directory=tmp_path / "kept")
    assert later.widths == [], "every point was kept"
