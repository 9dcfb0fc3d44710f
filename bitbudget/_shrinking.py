"""The function `shrink`: find the least bytes at which an integer-only network keeps a limit of quality."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Unpack

from api.cli.text.columns import plain
from api.cli.text.shrink import shrink_text
from api.operations.question import terms_of
from api.operations.shrink.job import ShrinkJob, run_shrink_job
from api.operations.shrink.words import effect_text
from api.schemas.keywords import BudgetOptions, DeviceLike, Size, request_of
from api.schemas.shrink import ShrinkAnswer, ShrinkPointAnswer, ShrinkRequest, ShrinkTrainingOptions
from bitbudget._budgets import DatasetLike
from bitbudget._reading import dataset_of, name_of
from deploy.result_folder import check_output
from network.network import Network
from qat.options.training import TrainingOptions
from qat.progress import Report, silent


@dataclass(frozen=True, eq=False, repr=False)
class ShrinkResult:
    """Result of a search for the least bytes: all judged points and the chosen one; `print` shows it as text.

    Attributes:
        report: The judged points, the chosen one and the result in words; `report.model_dump_json()` is its JSON.
        folder: The folder with the files. `load` reads the integer-only network of the chosen point from it.
    """

    report: ShrinkAnswer
    folder: Path

    @property
    def best(self) -> ShrinkPointAnswer | None:
        """The chosen point: `flash_bytes`, `ram_bytes`, `loss`, `quality`, `weight_bits`; None if no point keeps the
        limit.
        """
        return self.report.best

    @property
    def points(self) -> Sequence[ShrinkPointAnswer]:
        """All judged points, from the fewest bytes to the most."""
        return self.report.points

    def __str__(self) -> str:
        return plain(shrink_text(self.report, self.folder))

    def __repr__(self) -> str:
        best = self.best
        found = "no point keeps the limit"
        if best is not None:
            found = f"flash {best.flash_bytes:g}, RAM {best.ram_bytes:g} bytes {effect_text(self.report, best)}"
        return f"<ShrinkResult of {self.report.network.name}: {found}, files in {str(self.folder)!r}>"


def shrink(
    network: Network,
    data: DatasetLike,
    *,
    out: str | os.PathLike[str],
    max_loss: float | None = None,
    min_quality: float | None = None,
    minimize: Literal["flash", "ram"] = "flash",
    points: int = 64,
    flash: Size | None = None,
    ram: Size | None = None,
    device: DeviceLike | None = None,
    training: TrainingOptions | Mapping[str, Any] | None = None,
    checkpoints: str | os.PathLike[str] | None = None,
    progress: Report | None = None,
    **options: Unpack[BudgetOptions],
) -> ShrinkResult:
    """Find the least flash, or RAM, at which the integer-only network loses at most a given amount of its quality.

    Args:
        network: The network with its weights, from `read` or `read_module`.
        data: Samples to train and test on. Points are compared on held-out samples of the training set.
        out: Folder for the files: new, empty, or with an earlier result, which is replaced.
        max_loss: Largest allowed loss: points for a metric in percent, dB for a signal-to-noise ratio, 1 for R2.
        min_quality: Smallest allowed quality, such as 30.0 dB, if the float network's outputs are the targets.
        minimize: The memory of which the least bytes are searched; the other one is a ceiling.
        points: Number of budgets of the Pareto front, 2 to 1,000; about log2(points) + 2 points are judged.
        flash: Flash that the network may take, in bytes or as a text such as "60kB". None uses that of the device, or
            does not limit it.
        ram: RAM that the network may take, in the same form.
        device: The device: its name in the catalogue, a `Device`, or the description of a custom one.
        training: How each point is quantized or trained: `TrainingOptions`, or a mapping with its fields. None, or a
            mapping without `epochs`, quantizes without training.
        checkpoints: Folder for finished points and checkpoints, from which a later call continues. None keeps none.
        progress: Callback that receives the progress.
        options: Further options, as for `fit`.

    Raises:
        DoesNotFit: If the network does not fit the largest budget; nothing is written.
        RequestError: If an option is invalid, contradicts another one or does not suit the task, or the folder cannot
            be written to.
        InvalidNetwork: If the network has no weights.
        DatasetError: If the samples cannot be read or do not match the network.
        ConversionError: If a trained network has no safe integer form.
        TrainingError: If a training cannot continue.
    """
    folder = Path(out)
    fields = {"max_loss": max_loss, "min_quality": min_quality, "minimize": minimize, "points": points}
    request = request_of(ShrinkRequest, {**fields, "flash": flash, "ram": ram, "device": device, **options})
    terms_of(request)  # contradicting options are rejected before data are read
    job = ShrinkJob(
        network=network,
        network_name=name_of(network),
        request=request,
        options=_training_of(training),
        dataset=dataset_of(data),
    )
    check_output(folder)
    report, files = run_shrink_job(
        job,
        folder,
        report=progress or silent,
        checkpoint_directory=None if checkpoints is None else Path(checkpoints),
    )
    return ShrinkResult(ShrinkAnswer(**report.model_dump(), artifacts=files), folder)


def _training_of(training: TrainingOptions | Mapping[str, Any] | None) -> ShrinkTrainingOptions:
    if isinstance(training, TrainingOptions):
        return ShrinkTrainingOptions(**{name: getattr(training, name) for name in TrainingOptions.model_fields})
    return ShrinkTrainingOptions(**(training or {}))
