"""Measurement of a network's sensitivities on samples, for the command line and for jobs of the service.

network, samples -> table -> files
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from api.operations.measures import measured_table
from api.operations.no_samples import with_made_samples
from api.operations.train import require_weights, wait_without_spinning
from api.schemas.answer import NetworkName
from api.schemas.reports import SensitivityReport
from api.storage.result_files import SENSITIVITY_FILE
from deploy.result_folder import REPORT_FILE, check_writable, publish, staging
from network.network import Network
from network.sensitivity.table import SensitivityTable, rows_as_json, schemes_as_json, sensitivity_to_json
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset
from qat.fan_out import IN_ORDER, FanOut
from qat.options.sensitivity import SensitivityOptions
from qat.progress import Progress, Report


@dataclass(frozen=True, kw_only=True)
class SensitivityJob:
    """Input of one measurement of sensitivities: network, samples and options.

    Attributes:
        network: The network, with its weights.
        network_name: Identifier and name of the network in the report.
        dataset: The samples; the training set is used.
        options: How the sensitivities are measured.
        fan_out: Places that measure groups of tensors at the same time.
    """

    network: Network
    network_name: NetworkName
    dataset: Dataset
    options: SensitivityOptions
    fan_out: FanOut = IN_ORDER


def measure(job: SensitivityJob, report: Report) -> tuple[SensitivityReport, SensitivityTable]:
    """Measure the quantization sensitivity of every tensor of a network on samples.

    Args:
        job: The network, the samples and the options.
        report: Callback that receives the progress.

    Returns:
        The report and the sensitivity table.

    Raises:
        InvalidNetwork: If the network has no weights.
        DatasetError: If the samples do not suit the network, or cannot be read.
        TrainingError: If the measurement fails.
    """
    require_weights(job.network.name, has_weights=job.network.has_weights)
    job = replace(job, dataset=with_made_samples(job.network, job.dataset, job.options.seed, report))
    check_dataset(job.dataset, job.network, job.options.task)
    wait_without_spinning()
    started = time.monotonic()
    warnings = _dataset_warnings(job)
    table = measured_table(job.network, job.dataset, job.options, _with_warnings(report, warnings), job.fan_out)
    return (
        SensitivityReport(
            network=job.network_name,
            sensitivity=table.method,
            scheme=job.options.scheme,
            samples=min(job.options.samples, len(job.dataset.train_x)),
            seconds=time.monotonic() - started,
            weights=rows_as_json(table.weights),
            weights_by_scheme=schemes_as_json(table),
            activations=rows_as_json(table.activations),
            warnings=warnings,
        ),
        table,
    )


def _dataset_warnings(job: SensitivityJob) -> tuple[str, ...]:
    from qat.data.dataset_warnings import dataset_warnings
    from qat.data.images import fitted
    from qat.tasks.choice import choose_task

    dataset = fitted(job.dataset, job.network)
    return dataset_warnings(dataset, job.network, choose_task(job.network, dataset, job.options.task))


def _with_warnings(report: Report, warnings: tuple[str, ...]) -> Report:
    """Return a callback that passes progress on with warnings; without warnings, the callback itself."""
    if not warnings:
        return report

    def show(progress: Progress) -> None:
        report(replace(progress, warnings=(*warnings, *progress.warnings)))

    return show


def run_sensitivity_job(job: SensitivityJob, directory: Path, report: Report) -> None:
    """Measure a network's sensitivities on samples, and write the table and the report to a directory.

    Args:
        job: The network, the samples and the options.
        directory: Directory for the files.
        report: Callback that receives the progress.

    Raises:
        InvalidNetwork, DatasetError, TrainingError: If `measure` raises it.
        RequestError: If the directory is not writable.
    """
    check_writable(directory)
    sensitivity_report, table = measure(job, report)
    with staging(directory) as staged:
        (staged / SENSITIVITY_FILE).write_text(sensitivity_to_json(table) + "\n", encoding="utf-8")
        (staged / REPORT_FILE).write_text(sensitivity_report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        publish(staged, directory)
