"""A search for the least bytes in one process, on a regression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from api.operations.shrink.job import ShrinkJob, run_shrink_job
from api.schemas.answer import NetworkName
from api.schemas.shrink import ShrinkRequest, ShrinkTrainingOptions
from network.memory.books import BookName
from qat.data.dataset import Dataset
from qat.options.post_training import PostTrainingOptions
from qat.prepare import float_module
from qat.progress import silent
from qat.training.evaluation import of_module
from tests.api.small_files import tiny_network


def test_a_regression_loses_r2(tmp_path: Path) -> None:
    rng, network = np.random.default_rng(5), tiny_network()
    x = rng.standard_normal((400, 1, 4, 4)).astype(np.float32)
    y = of_module(float_module(network), network, torch.device("cpu"))(x)
    y += rng.normal(0, 0.2, y.shape).astype(np.float32)
    job = ShrinkJob(
        network=network,
        network_name=NetworkName(id="", name="numbers"),
        request=ShrinkRequest(max_loss=0.05, points=6, accounting=BookName.PAPER, sensitivity="weights"),
        dataset=Dataset("numbers", x, y, x[:50], y[:50]),
        options=ShrinkTrainingOptions(threads=1, post_training=PostTrainingOptions(rounding_steps=4)),
    )
    report, _ = run_shrink_job(job, tmp_path / "out", report=silent)
    assert (report.task, report.metric, report.unit) == ("regression", "r2", "1")
    assert report.best is not None
    assert report.best.loss is not None
    assert report.best.loss <= 0.05
    assert "0.0500 R2" in " ".join(report.sentences)
