"""The command `bitbudget pareto`: compute the trade-off between a network's quantization sensitivity and its memory."""

from __future__ import annotations

from typing import Any

import click

from api.cli.files import read_network_file
from api.cli.main import DOES_NOT_FIT
from api.cli.model_options import model_options
from api.cli.options import data_option, fit_options, fit_request, given_reading_options, json_option
from api.cli.remote_choice import Inputs, remote_of_command
from api.cli.sensitivity_tables import table_for
from api.operations.pareto import answer_pareto
from api.operations.question import terms_of
from api.schemas.pareto import ParetoAnswer, ParetoRequest


@click.command("pareto", short_help="Compute the trade-off between sensitivity and memory.")
@fit_options
@model_options(ParetoRequest, only=("axis", "points"))
@data_option
@json_option
def command(network_file: str, data: str | None, as_json: bool, **options: Any) -> int:
    """Compute the Pareto front of a network: the smallest summed quantization sensitivity for each memory budget.

    The budgets range from the minimum to the memory that 8 bits require. --axis chooses the budget that is varied; the
    other budget comes from --flash, --ram or --device.

    \b
    Exit codes:
      0  the front has points
      1  nothing fits
      2  the input is invalid

    \b
    Example:
      bitbudget pareto network.onnx --ram 40kB --flash 1MB --axis flash
    """
    request = fit_request(options, ParetoRequest)
    terms_of(request)
    if (remote := remote_of_command(is_quiet=as_json)) is not None:
        reading, offset = given_reading_options(options), options["label_offset"]
        inputs = Inputs(network_file=network_file, reading=reading, data=data, label_offset=offset)
        answer = remote.answer(ParetoAnswer, request, inputs)
    else:
        network, name = read_network_file(network_file, given_reading_options(options))
        table = table_for(request, network, data, options["label_offset"], is_quiet=as_json)
        answer = answer_pareto(network, name, request, table)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.cli.text.columns import show
        from api.cli.text.pareto import pareto_text

        show(pareto_text(answer))
    return 0 if answer.points else DOES_NOT_FIT
