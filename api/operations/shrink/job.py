"""Search for the least bytes of flash, or of RAM, at which a network keeps a limit of quality.

    sensitivities -> Pareto front, proven -> bisection: train a point, judge it on held-out samples -> report, files

Every point is judged by its integer-only network. The points are compared on the held-out samples of the training set.
The test set decides nothing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from api.errors import DoesNotFit
from api.operations.fit import describe_fit
from api.operations.measures import MeasureChoice
from api.operations.no_samples import is_without_samples, refuse_shrink_without_samples
from api.operations.question import Terms, terms_of
from api.operations.shrink.curve import CURVE_FILE, curve_svg
from api.operations.shrink.limits import check_limit
from api.operations.shrink.point_progress import PointProgress
from api.operations.shrink.points import PointTrainer, by_size
from api.operations.shrink.reporting import report_of
from api.operations.shrink.search import Search, search
from api.operations.train import require_weights, wait_without_spinning
from api.schemas.answer import NetworkName
from api.schemas.reports import Artifact
from api.schemas.shrink import ShrinkReport, ShrinkRequest, ShrinkTrainingOptions
from api.storage.result_files import SENSITIVITY_FILE, artifacts_in
from deploy.result_folder import REPORT_FILE, STAGING_PREFIX, check_writable, publish, staging, write_text
from network.errors import RequestError
from network.network import Network
from network.sensitivity.table import SensitivityTable, sensitivity_from_json, sensitivity_to_json
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset
from qat.data.feature_scales import with_feature_scales
from qat.fan_out import IN_ORDER, FanOut
from qat.options.training import TrainingOptions
from qat.progress import Progress, Report
from qat.training.fingerprint import fingerprint_of
from qat.training.process_rank import process_count
from solver.fit import fit
from solver.pareto import pareto_front

_NAME_DIGITS: Final = 16
"""Number of hexadecimal digits in the name of a search's directory of checkpoints."""


@dataclass(frozen=True, kw_only=True)
class ShrinkJob:
    """Input of one search for the least bytes: network, limit, dataset and options.

    Attributes:
        network: The network, with its weights.
        network_name: Identifier and name of the network in the report.
        request: The limit of the quality, the memory that is minimized, and how bits are chosen.
        dataset: The samples to train and test on.
        options: How each judged point is quantized or trained.
        fan_out: Places that measure tensors, and train points that may be judged, at the same time.
    """

    network: Network
    network_name: NetworkName
    request: ShrinkRequest
    dataset: Dataset
    options: ShrinkTrainingOptions
    fan_out: FanOut = IN_ORDER


def run_shrink_job(
    job: ShrinkJob, directory: Path, *, report: Report, checkpoint_directory: Path | None = None
) -> tuple[ShrinkReport, list[Artifact]]:
    """Find the least bytes at which a network keeps a limit of quality, and write the files to a directory.

    Args:
        job: The network, the limit, the samples and the options.
        directory: Directory for the files: it does not exist, is empty, or has an earlier result, which is replaced.
        report: Callback that receives the progress.
        checkpoint_directory: Directory for finished points and checkpoints, from which a later call with equal inputs
            continues, also with another limit; None keeps none.

    Returns:
        The report, and the files in the directory: the report, the curve, and the integer-only network of the chosen
        point, if a point keeps the limit.

    Raises:
        DoesNotFit: If the network does not fit the largest budget.
        InvalidNetwork, DatasetError, RequestError: If a part of the input is invalid, or does not suit the others.
        ConversionError: If a trained network cannot be converted to integers.
        TrainingError: If a training fails.
    """
    terms = terms_of(job.request)
    if is_without_samples(job.dataset):
        refuse_shrink_without_samples()
    options = job.options.plain
    job = replace(job, network=with_feature_scales(job.network, job.dataset.train_x))
    _check(job, options, terms, directory)
    wait_without_spinning()
    with _work_directory(job, options, directory, checkpoint_directory) as work:
        table = _table(job, options, work, report)
        question = terms.question(job.network, table)
        started = time.monotonic()
        report(Progress("computing the Pareto front"))
        front = pareto_front(question, axis=job.request.minimize.axis, points=job.request.points, keeps_budget=True)
        points = by_size(front.points, job.request.minimize)
        if not points:
            raise DoesNotFit(describe_fit(job.network_name, question, fit(question)))
        trainer = PointTrainer(
            network_name=job.network_name, request=job.request, question=question, dataset=job.dataset,
            options=options, work=work, keeps_checkpoints=checkpoint_directory is not None,
            progress=PointProgress(report),
        )  # fmt: skip
        found = search(trainer, job.network, points, report, job.fan_out)
        seconds = time.monotonic() - started + found.kept_seconds
        shrink_report = report_of(job.request, job.network_name, question, front, found, seconds)
        return shrink_report, _write(shrink_report, found, work, directory)


def _check(job: ShrinkJob, options: TrainingOptions, terms: Terms, directory: Path) -> None:
    """Reject invalid input before anything is measured.

    Raises:
        DoesNotFit: If the network does not fit the largest budget.
        InvalidNetwork, DatasetError, RequestError: If a part of the input is invalid, or does not suit the others.
    """
    if process_count() > 1:
        raise RequestError(
            "a shrink trains its points in one process, and several were started; start bitbudget shrink without "
            "torchrun"
        )
    require_weights(job.network.name, has_weights=job.network.has_weights)
    choice = MeasureChoice.of(job.request)
    question = terms.question(job.network, choice.without_samples().table_without_samples(job.network))
    solution = fit(question)
    if solution.allocation is None:
        raise DoesNotFit(describe_fit(job.network_name, question, solution))
    check_dataset(job.dataset, job.network, options.task)
    check_limit(job.request, options, job.network, job.dataset)
    check_writable(directory)


@contextmanager
def _work_directory(
    job: ShrinkJob, options: TrainingOptions, directory: Path, checkpoint_directory: Path | None
) -> Iterator[Path]:
    """Yield the directory of finished points: one of the checkpoints, or a temporary one without checkpoints.

    The name of a directory of checkpoints depends on everything on which the points depend, so that a search never
    reads the points of another one. The limit of the quality is no part of it.
    """
    if checkpoint_directory is None:
        with staging(directory) as work:
            yield work
        return
    request = job.request.model_dump_json(exclude={"max_loss", "min_quality", "resources"})
    name = fingerprint_of(job.network, job.dataset, options.what_counts(), request)[:_NAME_DIGITS]
    work = checkpoint_directory / f"shrink-{name}"
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"cannot write into the directory '{checkpoint_directory}': {error.strerror}; choose another directory"
        ) from error
    for unfinished in work.rglob(f"{STAGING_PREFIX}*"):  # of a search that was killed
        shutil.rmtree(unfinished, ignore_errors=True)
    yield work


def _table(job: ShrinkJob, options: TrainingOptions, work: Path, report: Report) -> SensitivityTable | None:
    """Return the sensitivity table that an interrupted search has stored; otherwise make it."""
    kept = work / SENSITIVITY_FILE
    if kept.is_file():
        return sensitivity_from_json(kept.read_text(encoding="utf-8"))
    choice = MeasureChoice.of(job.request)
    table = choice.table_with_samples(job.network, job.dataset, report, options.task, job.fan_out)
    if table is not None:
        write_text(kept, sensitivity_to_json(table))
    return table


def _write(report: ShrinkReport, found: Search, work: Path, directory: Path) -> list[Artifact]:
    """Write the report, the curve, all points and the files of the chosen point to the directory of the results."""
    with staging(directory) as staged:
        for point in report.points:
            shutil.copytree(work / point.folder, staged / point.folder)
        if report.best is not None:
            for path in (staged / report.best.folder).iterdir():
                shutil.copyfile(path, staged / path.name)
        (staged / CURVE_FILE).write_text(curve_svg(report), encoding="utf-8")
        (staged / REPORT_FILE).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        artifacts = artifacts_in(staged)
        publish(staged, directory)
    return artifacts
