"""The function `train`: choose bits under a budget, retrain, and write an integer-only network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from api.cli.text.columns import plain
from api.cli.text.training import training_text
from api.operations.question import terms_of
from api.operations.train import MainJob, run_main_job
from api.schemas.fit import FitRequest
from api.schemas.keywords import BudgetOptions, DeviceLike, Size, request_of
from api.schemas.reports import AccuracyAnswer, Artifact, QualityAnswer, TrainAnswer
from bitbudget._budgets import DatasetLike
from bitbudget._reading import dataset_of, name_of
from deploy.result_folder import check_output
from network.network import Network
from qat.options.task import TERMS
from qat.options.training import TrainingOptions
from qat.progress import Report, silent


@dataclass(frozen=True, eq=False, repr=False)
class TrainResult:
    """Result of a training: report and files of the integer-only network; `print` shows it as text.

    Attributes:
        report: The bits, the memory report, the accuracies and the epochs; `report.model_dump_json()` is its JSON.
        folder: The folder with the files, from which `load` reads the integer-only network.
    """

    report: TrainAnswer
    folder: Path

    @property
    def fits(self) -> bool:
        """Whether the integer-only network fits the memory budget; if not, `report.overflow` says why."""
        return self.report.fits

    @property
    def accuracy(self) -> AccuracyAnswer | None:
        """Accuracies on the test set in percent: `float_`, `fake_quantized`, `integer_only`; None if there is no test
        set, or for a task without classes.
        """
        return self.report.accuracy

    @property
    def quality(self) -> QualityAnswer | None:
        """Quality on the test set by the task's metric: `metric`, `unit`, `direction`, `float_`, `fake_quantized`,
        `integer_only`; None if there is no test set.
        """
        return self.report.quality

    @property
    def files(self) -> Sequence[Artifact]:
        """Name, size in bytes and SHA-256 of each file that the training has written."""
        return self.report.artifacts

    def __str__(self) -> str:
        return plain(training_text(self.report, self.folder))

    def __repr__(self) -> str:
        quality = self.quality
        figures = "quality not measured"
        if quality is not None:
            terms = TERMS[quality.metric]
            of_float = "" if quality.float_ is None else f", float {terms.text(quality.float_)}"
            figures = f"integer-only {terms.text(quality.integer_only)}{of_float} ({terms.words})"
        fits = "" if self.fits else "does not fit, "
        return f"<TrainResult of {self.report.network.name}: {fits}{figures}, files in {str(self.folder)!r}>"


def train(
    network: Network,
    data: DatasetLike,
    *,
    out: str | os.PathLike[str],
    flash: Size | None = None,
    ram: Size | None = None,
    device: DeviceLike | None = None,
    training: TrainingOptions | Mapping[str, Any] | None = None,
    checkpoints: str | os.PathLike[str] | None = None,
    progress: Report | None = None,
    **options: Unpack[BudgetOptions],
) -> TrainResult:
    """Fit a network into a memory budget, retrain it with the chosen bits, and write the integer-only network.

    Args:
        network: The network with its weights, from `read` or `read_module`.
        data: Samples to train and test on.
        out: Folder for the files: new, empty, or with an earlier result, which is replaced.
        flash: Flash that the network may take, in bytes or as a text such as "60kB". None uses that of the device.
        ram: RAM that the network may take, in the same form. None uses that of the device.
        device: The device: its name in the catalogue, a `Device`, or the description of a custom one.
        training: How the network is trained: `TrainingOptions`, or a mapping with its fields, which docs/training.md
            lists. None uses the defaults.
        checkpoints: Folder for checkpoints, from which a later call with the same arguments continues. None keeps none.
        progress: Callback that receives the progress.
        options: Further options, as for `fit`.

    Raises:
        DoesNotFit: If no bits fit the budget; nothing is written. If only the integer-only network exceeds it after the
            training, the files are written, and `fits` of the result is false.
        RequestError: If an option is invalid or contradicts another one, or the folder cannot be written to.
        InvalidNetwork: If the network has no weights.
        DatasetError: If the samples cannot be read or do not match the network.
        ConversionError: If the trained network has no safe integer form.
        TrainingError: If the training cannot continue.
    """
    folder = Path(out)
    request = request_of(FitRequest, {"flash": flash, "ram": ram, "device": device, **options})
    terms_of(request)  # contradicting options are rejected before data are read
    job = MainJob(
        network=network,
        network_name=name_of(network),
        request=request,
        options=training if isinstance(training, TrainingOptions) else TrainingOptions(**(training or {})),
        dataset=dataset_of(data),
    )
    check_output(folder)
    report, files = run_main_job(
        job,
        folder,
        report=progress or silent,
        checkpoint_directory=None if checkpoints is None else Path(checkpoints),
    )
    return TrainResult(TrainAnswer(**report.model_dump(), artifacts=files), folder)
