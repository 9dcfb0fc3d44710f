"""`bitbudget train`: the whole main job, without the service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from api.command import DOES_NOT_FIT
from api.commands.options import EXACT_OPTIONS, budget_options, exact_options, fit_request, read_network_file
from api.commands.training_options import training_of, training_options
from api.pipeline import MainJob, check_output, run_main_job
from api.problems import DoesNotFit
from api.progress_line import progress_line
from api.reports import TrainAnswer
from api.requests import DIGITS
from api.tables import fit_text, training_text
from network.errors import DatasetError
from qat.datasets import Dataset, digits, read_npz


@click.command("train", short_help="Choose bits, retrain, write the integer-only network.")
@budget_options
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
@training_options
@exact_options
def command(
    network_file: str,
    flash: str,
    ram: str,
    method: str,
    accounting: str,
    as_json: bool,
    data: str,
    out: Path,
    **training: Any,
) -> int:
    """Fit NETWORK into a budget, retrain it with those bits, and write the integer-only network into a directory.

    Exit code 0: done. 1: it does not fit; nothing is written. 2: bad input.

    \b
    bitbudget train network.onnx --data digits --flash 60kB --ram 40kB --epochs 3 --out result
    """
    exact = {name: training.pop(name) for name in EXACT_OPTIONS}
    request = fit_request(flash, ram, method, accounting, exact)
    request.budget()  # judged before files are read
    options = training_of(training).options()
    network, name = read_network_file(network_file)
    check_output(out)
    job = MainJob(
        network=network,
        network_name=name,
        request=request,
        dataset=_dataset(data),
        options=options,
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


def _dataset(data: str) -> Dataset:
    if data == DIGITS:
        return digits()
    path = Path(data)
    if not path.is_file():
        raise DatasetError(f"there is no file '{data}'; expected an .npz, or '{DIGITS}' for the built-in dataset")
    return read_npz(path)
