"""A whole training job, from network and budget to the files of an integer-only network.

    network, budget -> bits -> retraining -> integer-only network -> files

All files are written to a temporary directory first, and moved to their place when they are complete.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from api.errors import DoesNotFit
from api.operations.fit import describe_fit, prices_of
from api.operations.measures import MeasureChoice
from api.operations.no_samples import is_without_samples, options_without_samples, with_made_samples
from api.operations.question import Terms, terms_of
from api.operations.trained_network import BeforeTraining, nothing_before, train_solution
from api.schemas.answer import NetworkName
from api.schemas.fit import FitRequest
from api.schemas.reports import Artifact, TrainingReport
from api.storage.result_files import SENSITIVITY_FILE
from deploy.requantization_form import RequantizationForm
from deploy.result_folder import check_writable, write_text
from network.errors import InvalidNetwork, RequestError
from network.memory.measure import measure
from network.memory.thresholds import measure_thresholds
from network.network import Network
from network.sensitivity.table import SensitivityTable, sensitivity_from_json, sensitivity_to_json
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset
from qat.data.feature_scales import with_feature_scales
from qat.options.overrides import overridden
from qat.options.training import TrainingOptions
from qat.progress import Report
from solver.fit import fit
from solver.question import Question
from solver.solution import Solution


@dataclass(frozen=True, kw_only=True)
class MainJob:
    """Input of one training job: network, memory budget, dataset and options.

    Attributes:
        network: The network, with its weights.
        network_name: Identifier and name of the network in the report.
        request: The budget, and how bits are chosen under it.
        dataset: The samples to train and test on.
        options: How the network is trained.
        is_known_to_fit: Whether the network was fitted into this budget before, so that no solve is needed to find out.
    """

    network: Network
    network_name: NetworkName
    request: FitRequest
    dataset: Dataset
    options: TrainingOptions
    is_known_to_fit: bool = False


def require_weights(name: str, *, has_weights: bool) -> None:
    """Reject a network without weights, because it cannot be measured on samples or retrained.

    Args:
        name: Name of the network, for the error message.
        has_weights: Whether the network has weights.

    Raises:
        InvalidNetwork: If the network has no weights.
    """
    if not has_weights:
        raise InvalidNetwork(
            f"the network '{name}' has no weights, only their number: bits can be chosen for it, but it cannot be "
            "measured or retrained; give an ONNX file, or a JSON description with weights"
        )


def run_main_job(
    job: MainJob,
    directory: Path,
    *,
    report: Report,
    checkpoint_directory: Path | None = None,
    before_training: BeforeTraining = nothing_before,
) -> tuple[TrainingReport, list[Artifact]]:
    """Choose bits, retrain the network, convert it to integers, and write the files to a directory.

    Args:
        job: The network, the budget, the samples and the options.
        directory: Directory for the files: it does not exist, is empty, or has an earlier result, which is replaced.
        report: Callback that receives the progress.
        checkpoint_directory: Directory for the checkpoints, from which an interrupted job continues; None writes none.
        before_training: Callback that receives what is trained, just before the training.

    Returns:
        The report, and the files; no files if this is not the first process of a distributed training.

    Raises:
        DoesNotFit: If the network does not fit the budget.
        InvalidNetwork, DatasetError, RequestError: If a part of the input is invalid, or does not suit the others.
        ConversionError: If the retrained network cannot be converted to integers.
        TrainingError: If the training fails.
    """
    terms = terms_of(job.request)
    if is_without_samples(job.dataset):
        job = _without_samples(job, terms, directory, report, checkpoint_directory)
    job = replace(job, network=with_feature_scales(job.network, job.dataset.train_x))
    question, solution = _choose_bits(job, terms, directory, report, checkpoint_directory)
    prices = prices_of(job.request, question, solution)
    if changes_bytes(job.options):
        solution = _count_again(job, terms, solution)
    return train_solution(
        job.dataset, job.options, solution, describe_fit(job.network_name, question, solution, prices), directory,
        question=question, report=report, checkpoint_directory=checkpoint_directory, before_training=before_training,
    )  # fmt: skip


def _without_samples(
    job: MainJob, terms: Terms, directory: Path, report: Report, checkpoint_directory: Path | None
) -> MainJob:
    """Return a job without samples with inputs that are made for its network, after all checks that need none."""
    options = options_without_samples(job.options)
    require_weights(job.network.name, has_weights=job.network.has_weights)
    choice = MeasureChoice.of(job.request).without_samples()
    _require_fit(job, terms.question(job.network, choice.table_without_samples(job.network)))
    check_writable(directory)
    wait_without_spinning()
    made = with_made_samples(job.network, job.dataset, options.seed, report, checkpoint_directory)
    return replace(job, dataset=made, options=options, is_known_to_fit=True)


def changes_bytes(options: TrainingOptions) -> bool:
    """Return whether training options change the byte counts with which the solver chose the bits."""
    return bool(options.overrides) or options.requantization is RequantizationForm.THRESHOLDS


def _choose_bits(
    job: MainJob, terms: Terms, directory: Path, report: Report, checkpoint_directory: Path | None
) -> tuple[Question, Solution]:
    """Choose the bits of a training job's network; check all other input before the sensitivities are measured.

    Whether bits fit does not depend on the measure: unless that is known, it is found out before the measurement, which
    may take long.
    """
    choice = MeasureChoice.of(job.request)
    chosen = None
    if not (choice.measures_samples and job.is_known_to_fit):
        question = terms.question(job.network, choice.without_samples().table_without_samples(job.network))
        chosen = question, _require_fit(job, question)
    require_weights(job.network.name, has_weights=job.network.has_weights)
    check_dataset(job.dataset, job.network, job.options.task)
    check_writable(directory)
    wait_without_spinning()
    if chosen is not None and not choice.measures_samples:
        return chosen
    question = terms.question(job.network, _measured_table(job, choice, report, checkpoint_directory))
    return question, _require_fit(job, question)


def _require_fit(job: MainJob, question: Question) -> Solution:
    """Solve a question for bits under a memory budget, and raise an error if nothing fits.

    Raises:
        DoesNotFit: If nothing fits.
    """
    solution = fit(question)
    if solution.allocation is None:
        raise DoesNotFit(describe_fit(job.network_name, question, solution))
    return solution


def _count_again(job: MainJob, terms: Terms, solution: Solution) -> Solution:
    """Recount the memory of a solution for training options that change byte counts, and check that it still fits.

    Raises:
        RequestError: If an override names an unknown layer, or the network no longer fits.
    """
    assert solution.allocation is not None  # noqa: S101  # it fits
    allocation = overridden(solution.network, solution.allocation, job.options.overrides)
    budget = terms.budget
    if job.options.requantization is RequantizationForm.THRESHOLDS:
        memory = measure_thresholds(solution.network, allocation, solution.accounting, budget)
        return replace(solution, allocation=allocation, memory=memory)
    memory = measure(solution.network, allocation, solution.accounting)
    if memory.flash_bytes > budget.flash_bytes:
        raise RequestError(
            f"with the weight schemes in overrides, the network needs {memory.flash_bytes:g} bytes of flash, and "
            f"{budget.flash_bytes} bytes are available; give fewer overrides, or reserve "
            f"{memory.flash_bytes - budget.flash_bytes:g} bytes for them (reserved_flash)"
        )
    return replace(solution, allocation=allocation, memory=memory)


def wait_without_spinning() -> None:
    """Set environment variables so that waiting OpenMP threads sleep; must be called before torch is imported.

    Threads that spin while they wait keep the cores from the threads that work: on a busy machine, a training step took
    four times as long.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _measured_table(
    job: MainJob, choice: MeasureChoice, report: Report, checkpoint_directory: Path | None
) -> SensitivityTable | None:
    """Return the sensitivity table that an interrupted run of a training job has stored; otherwise measure it.

    A table that an interrupted run has written is used again, so that training continues with the same bits.
    """
    kept = None if checkpoint_directory is None else checkpoint_directory / SENSITIVITY_FILE
    if kept is not None and kept.is_file():
        return sensitivity_from_json(kept.read_text(encoding="utf-8"))
    table = choice.table_with_samples(job.network, job.dataset, report, job.options.task)
    if kept is not None and table is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, sensitivity_to_json(table))
    return table
