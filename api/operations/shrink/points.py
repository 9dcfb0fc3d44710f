"""Training and keeping of the points that a shrink judges.

    WORK/sensitivity.json         the measured sensitivities
    WORK/points/BYTES/...         files of a finished point, with its report.json
    WORK/training/BYTES/...       checkpoint of the point that is being trained

A finished point is never trained again: an interrupted search reads its report instead.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from pydantic import ValidationError

from api.operations.fit import describe_fit, prices_of
from api.operations.shrink.point_progress import PointProgress
from api.operations.trained_network import train_solution
from api.schemas.answer import NetworkName
from api.schemas.reports import TrainingReport
from api.schemas.shrink import Minimized, ShrinkRequest
from api.storage.file_copies import Copies, copies_of, write_copies
from deploy.result_folder import REPORT_FILE, publish, staging
from qat.data.dataset import Dataset
from qat.options.training import TrainingOptions
from qat.progress import Report, silent
from solver.pareto import ParetoPoint
from solver.question import Question

POINTS_FOLDER: Final = "points"
_TRAINING_FOLDER: Final = "training"


@dataclass(frozen=True, kw_only=True)
class PointTrainer:
    """Trainer of the points of one search.

    Attributes:
        network_name: Identifier and name of the network in the reports.
        request: The request of the search.
        question: The solver's question, with the largest budget.
        dataset: The samples to train and test on.
        options: How each point is trained.
        work: Directory of the search, which an interrupted search finds again.
        keeps_checkpoints: Whether the training of a point writes checkpoints.
        progress: Callback that receives the progress.
    """

    network_name: NetworkName
    request: ShrinkRequest
    question: Question
    dataset: Dataset
    options: TrainingOptions
    work: Path
    keeps_checkpoints: bool
    progress: PointProgress

    def without_progress(self) -> PointTrainer:
        """Return this trainer for another process, to which the callback of the progress cannot be sent."""
        return replace(self, progress=PointProgress(silent))

    def kept(self, point: ParetoPoint) -> TrainingReport | None:
        """Return the report of a point that was finished before; None if it was not, had other bits, or is damaged."""
        path = self._folder(point) / REPORT_FILE
        if not path.is_file():
            return None
        try:
            report = TrainingReport.model_validate_json(path.read_bytes())
        except ValidationError:  # damaged, or of another version: the point is trained again
            return None
        allocation = point.solution.allocation
        assert allocation is not None  # noqa: S101  # a point of a front fits
        is_same = report.schedule == [layer.name for layer in point.solution.network.layers] and (
            report.weight_bits == dict(allocation.weight_bits)
            and report.activation_bits == dict(allocation.activation_bits)
        )
        return report if is_same else None

    def trained(self, point: ParetoPoint) -> TrainingReport:
        """Train a point, keep its files, and return its report.

        Raises:
            ConversionError: If the trained network cannot be converted to integers.
            TrainingError: If the training fails.
        """
        folder = self._folder(point)
        folder.parent.mkdir(parents=True, exist_ok=True)
        report = self._train(point, folder, self.progress)
        self.progress.end()
        return report

    def trained_apart(self, point: ParetoPoint, report: Report) -> dict[str, bytes]:
        """Train a point in another process than that of the search, and return the content of each of its files.

        Args:
            point: The point.
            report: Callback that receives the progress.

        Raises:
            ConversionError, TrainingError: As `trained`.
        """
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / self._name(point)
            self._train(point, folder, report)
            return copies_of(folder)

    def keep(self, point: ParetoPoint, files: Copies) -> None:
        """Keep the files of a point that was trained in another process."""
        folder = self._folder(point)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with staging(folder) as staged:
            write_copies(files, staged)
            publish(staged, folder)

    def _train(self, point: ParetoPoint, folder: Path, report: Report) -> TrainingReport:
        question = replace(self.question, budget=point.budget)
        answer = describe_fit(
            self.network_name, question, point.solution, prices_of(self.request, question, point.solution)
        )
        checkpoint = self.work / _TRAINING_FOLDER / self._name(point)
        trained, _ = train_solution(
            self.dataset, self.options, point.solution, answer, folder,
            question=question, report=report,
            checkpoint_directory=checkpoint if self.keeps_checkpoints else None,
        )  # fmt: skip
        shutil.rmtree(checkpoint, ignore_errors=True)
        return trained

    def _folder(self, point: ParetoPoint) -> Path:
        return self.work / POINTS_FOLDER / self._name(point)

    def _name(self, point: ParetoPoint) -> str:
        return f"{size_bytes(point, self.request.minimize)}"


def train_apart(trainer: PointTrainer, point: ParetoPoint, report: Report) -> dict[str, bytes]:
    """Train a point, and return the content of each of its files; a function for `FanOut.map`."""
    from api.operations.train import wait_without_spinning

    wait_without_spinning()
    return trainer.trained_apart(point, report)


def size_bytes(point: ParetoPoint, minimized: Minimized) -> int:
    """Return the bytes of a point in the memory that is minimized, rounded up to a whole number."""
    memory = point.solution.memory
    return math.ceil(memory.flash_bytes if minimized is Minimized.FLASH else memory.ram_bytes)


def by_size(points: Iterable[ParetoPoint], minimized: Minimized) -> list[ParetoPoint]:
    """Return the points of a front in ascending order of bytes; of points of equal size, that with the least objective.

    Args:
        points: Points of a Pareto front.
        minimized: The memory whose bytes count.
    """
    best: dict[int, ParetoPoint] = {}
    for point in points:
        size = size_bytes(point, minimized)
        if size not in best or (point.solution.objective or 0.0) < (best[size].solution.objective or 0.0):
            best[size] = point
    return [best[size] for size in sorted(best)]


def held_out_quality_of(report: TrainingReport) -> float:
    """Return the quality of a point's integer-only network on the held-out samples: that of its best epoch."""
    best = next(epoch for epoch in report.epochs if epoch.epoch == report.best_epoch)
    assert best.validation_quality is not None  # noqa: S101  # only reports of earlier versions lack it
    return best.validation_quality


def seconds_of(report: TrainingReport) -> float:
    """Return the elapsed time in seconds of a point's training and validation."""
    return sum(epoch.seconds for epoch in report.epochs)
