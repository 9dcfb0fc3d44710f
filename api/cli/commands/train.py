"""The command `bitbudget train`: choose bits, retrain a network and convert it to integers, without the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from api.cli.folder_work import FolderWork
from api.cli.main import DOES_NOT_FIT
from api.cli.model_options import model_of, model_options
from api.cli.options import (
    REQUEST_FIELDS,
    fit_options,
    fit_request,
    given_reading_options,
    json_option,
    label_offset_option,
)
from api.cli.remote_choice import Inputs
from api.cli.training_options import results_option, training_data_option, training_file_option
from api.errors import DoesNotFit
from api.operations.question import terms_of
from api.operations.train import MainJob, run_main_job
from api.schemas.fit import FitAnswer
from api.schemas.reports import TrainAnswer
from qat.options.training import TrainingOptions
from qat.training.process_rank import is_first_process


@click.command("train", short_help="Choose bits, retrain a network, and convert it to integers.")
@fit_options
@training_data_option
@label_offset_option
@results_option
@click.option(
    "--checkpoints",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Directory for training checkpoints, from which a later call with the same arguments continues.",
)
@training_file_option
@model_options(TrainingOptions)
@json_option
def command(
    network_file: str,
    as_json: bool,
    data: str,
    label_offset: int,
    out: Path,
    checkpoints: Path | None,
    training_file: Path | None,
    **options: Any,
) -> int:
    """Fit a network into a memory budget, retrain it with the chosen bits, and write the integer-only network.

    \b
    Exit codes:
      0  the files are written
      1  no bits fit, and nothing is written; or the files are written, but the integer-only network exceeds the
         budget after the conversion ("fits" is false in report.json)
      2  the input is invalid

    \b
    Examples:
      bitbudget train network.onnx --data digits --flash 60kB --ram 40kB --epochs 3 --out result
      torchrun --nproc-per-node 4 -m api.cli.main train ...     (uses the four GPUs of a machine)
    """
    request = fit_request(options)
    terms_of(request)  # rejects contradictory options before files are read
    training = model_of(
        TrainingOptions, {name: value for name, value in options.items() if name not in REQUEST_FIELDS}, training_file
    )
    reading = given_reading_options(options)
    inputs = Inputs(network_file=network_file, reading=reading, data=data, label_offset=label_offset)
    work = FolderWork(inputs=inputs, data=data, out=out, checkpoints=checkpoints, is_quiet=as_json)
    try:
        training_report, artifacts = work.done(
            lambda network, name, dataset, report: run_main_job(
                MainJob(network=network, network_name=name, request=request, dataset=dataset, options=training),
                out,
                report=report,
                checkpoint_directory=checkpoints,
            ),
            lambda service: service.train(request, training, inputs, out),
        )
    except DoesNotFit as error:
        _answer(error.answer, out, as_json=as_json)
        return DOES_NOT_FIT
    if not is_first_process():
        return 0
    answer = TrainAnswer(**training_report.model_dump(), artifacts=artifacts)
    _answer(answer, out, as_json=as_json)
    return 0 if answer.fits else DOES_NOT_FIT


def _answer(answer: FitAnswer, directory: Path, *, as_json: bool) -> None:
    """Print the result of `bitbudget train`: the chosen bits, and after a training the accuracies and the files."""
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
        return
    from api.cli.text.columns import show
    from api.cli.text.fit import fit_text
    from api.cli.text.training import training_text

    show(training_text(answer, directory) if isinstance(answer, TrainAnswer) else fit_text(answer))
