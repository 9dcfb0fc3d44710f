"""`bitbudget train`: the whole main job, without the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from api.command import DOES_NOT_FIT
from api.commands.files import read_dataset, read_network_file
from api.commands.model_options import model_of, model_options
from api.commands.options import REQUEST_FIELDS, fit_options, fit_request, json_option
from api.job_requests import DIGITS, Training
from api.pipeline import MainJob, check_output, run_main_job
from api.problems import DoesNotFit
from api.progress_line import progress_line
from api.reports import TrainAnswer
from api.tables import fit_text, training_text


@click.command("train", short_help="Choose bits, retrain, write the integer-only network.")
@fit_options
@click.option(
    "--data",
    required=True,
    metavar="FILE",
    help=f"An .npz with train_x, train_y, test_x, test_y; or '{DIGITS}', the built-in dataset.",
)
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Directory for the results: new, empty, or with an earlier result, which is replaced.",
)
@model_options(Training)
@json_option
def command(network_file: str, as_json: bool, data: str, out: Path, **options: Any) -> int:
    """Fit NETWORK into a budget, retrain it with those bits, and write the integer-only network into a directory.

    Exit code 0: done. 1: it does not fit; nothing is written. 2: bad input.

    \b
    bitbudget train network.onnx --data digits --flash 60kB --ram 40kB --epochs 3 --out result
    """
    request = fit_request(options)
    request.budget()  # judged before files are read
    request.exact_options()
    training = model_of(Training, {name: value for name, value in options.items() if name not in REQUEST_FIELDS})
    network, name = read_network_file(network_file)
    check_output(out)
    job = MainJob(
        network=network,
        network_name=name,
        request=request,
        dataset=read_dataset(data),
        options=training.options(),
    )
    try:
        with progress_line(is_wanted=not as_json) as report:
            training_report, artifacts = run_main_job(job, out, report=report)
    except DoesNotFit as error:
        click.echo(error.answer.model_dump_json(indent=2) if as_json else fit_text(error.answer))
        return DOES_NOT_FIT
    answer = TrainAnswer(**training_report.model_dump(), artifacts=artifacts)
    click.echo(answer.model_dump_json(indent=2) if as_json else training_text(answer, out))
    return 0
