"""The command `bitbudget shrink`: find the least bytes at which a network keeps a limit of quality."""

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
from api.operations.shrink.job import ShrinkJob, run_shrink_job
from api.schemas.shrink import ShrinkAnswer, ShrinkRequest, ShrinkTrainingOptions


@click.command("shrink", short_help="Find the least bytes at which a network keeps a limit of quality.")
@model_options(ShrinkRequest, only=("max_loss", "min_quality", "minimize", "points"))
@fit_options
@training_data_option
@label_offset_option
@results_option
@click.option(
    "--checkpoints",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Directory for finished points and training checkpoints, from which a later call with the same arguments, or "
    "with another limit, continues.",
)
@training_file_option
@model_options(ShrinkTrainingOptions, without=("overrides", "requantization"))
@json_option
def command(
    network_file: str,
    as_json: bool,
    data: str,
    out: Path,
    checkpoints: Path | None,
    training_file: Path | None,
    label_offset: int,
    **options: Any,
) -> int:
    """Find the least flash, or RAM, at which the integer-only network loses at most --max-loss of its quality.

    The optimal bits for several budgets are judged by bisection. Without --epochs, each of them is quantized without
    training. Without --ram or --device, RAM is not limited.

    \b
    Exit codes:
      0  the files are written
      1  no point keeps the limit (the files are written), or the network does not fit (nothing is written)
      2  the input is invalid

    \b
    Examples:
      bitbudget shrink network.onnx --data train.npz --max-loss 0.5 --out result
      bitbudget shrink network.onnx --data train.npz --max-loss 0.5 --device nrf52840 --epochs 2 --out result
    """
    request: ShrinkRequest = fit_request(options, ShrinkRequest)
    terms_of(request)  # rejects contradictory options before files are read
    of_request = REQUEST_FIELDS | set(ShrinkRequest.model_fields)
    training = model_of(
        ShrinkTrainingOptions,
        {name: value for name, value in options.items() if name not in of_request},
        training_file,
    )
    reading = given_reading_options(options)
    inputs = Inputs(network_file=network_file, reading=reading, data=data, label_offset=label_offset)
    work = FolderWork(inputs=inputs, data=data, out=out, checkpoints=checkpoints, is_quiet=as_json)
    try:
        found, artifacts = work.done(
            lambda network, name, dataset, report: run_shrink_job(
                ShrinkJob(network=network, network_name=name, request=request, dataset=dataset, options=training),
                out,
                report=report,
                checkpoint_directory=checkpoints,
            ),
            lambda service: service.shrink(request, training, inputs, out),
        )
    except DoesNotFit as error:
        _print(error.answer, as_json=as_json)
        return DOES_NOT_FIT
    answer = ShrinkAnswer(**found.model_dump(), artifacts=artifacts)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.cli.text.columns import show
        from api.cli.text.shrink import shrink_text

        show(shrink_text(answer, out))
    return DOES_NOT_FIT if answer.best is None else 0


def _print(answer: Any, *, as_json: bool) -> None:
    """Print the certificate that the network fits no budget of the search."""
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
        return
    from api.cli.text.columns import show
    from api.cli.text.fit import fit_text

    show(fit_text(answer))
