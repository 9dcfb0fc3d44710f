"""The command `bitbudget sensitivity`: measure on samples how sensitive each tensor of a network is to fewer bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from api.cli.files import read_dataset, read_network_file
from api.cli.model_options import model_of, model_options
from api.cli.options import given_reading_options, json_option, network_argument, reading_options
from api.cli.remote_choice import Inputs, remote_of_command
from api.cli.text.dataset import shown_first
from api.cli.text.progress import notes_shown, progress_line
from api.operations.sensitivity import SensitivityJob, measure
from api.schemas.jobs import SensitivityRequest
from deploy.result_folder import write_text
from network.sensitivity.table import sensitivity_to_json


@click.command("sensitivity", short_help="Measure the sensitivity of every tensor to fewer bits.")
@network_argument
@reading_options
@click.option(
    "--data",
    required=True,
    metavar="PATH",
    help="Dataset whose training set is used (docs/datasets.md), or 'digits'.",
)
@model_options(SensitivityRequest, without=("dataset", "resources"))
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File to which the sensitivity table is written; 'fit --sensitivity FILE' reads it.",
)
@json_option
def command(network_file: str, data: str, out: Path | None, as_json: bool, **options: Any) -> int:
    """Estimate, for every tensor of a network, how much the loss increases if it alone gets 8, 4 or 2 bits.

    \b
    Examples:
      bitbudget sensitivity network.onnx --data train.npz --out table.json
      bitbudget fit network.onnx --flash 60kB --ram 40kB --sensitivity table.json
    """
    request = model_of(SensitivityRequest, {**options, "dataset": data})
    reading = given_reading_options(options)
    if (remote := remote_of_command(is_quiet=as_json)) is not None:
        inputs = Inputs(network_file=network_file, reading=reading, data=data, label_offset=request.label_offset)
        answer, text = remote.measure(request, inputs)
    else:
        network, name = read_network_file(network_file, reading)
        dataset = read_dataset(data, request.label_offset)
        job = SensitivityJob(network=network, network_name=name, dataset=dataset, options=request.options())
        with progress_line(is_wanted=not as_json) as report:
            answer, table = measure(job, shown_first(job.dataset, notes_shown(report)))
        text = sensitivity_to_json(table) + "\n"
    if out is not None:
        write_text(out, text)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.cli.text.columns import show
        from api.cli.text.sensitivity import sensitivity_text

        show(sensitivity_text(answer, out))
    return 0
