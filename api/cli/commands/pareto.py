"""`bitbudget pareto`: what bytes buy."""

from __future__ import annotations

from typing import Any

import click

from api.cli.files import read_network_file
from api.cli.main import DOES_NOT_FIT
from api.cli.model_options import model_options
from api.cli.options import data_option, fit_options, fit_request, json_option
from api.cli.sensitivity_tables import table_for
from api.operations.pareto import answer_pareto
from api.operations.question import terms_of
from api.schemas.pareto import ParetoRequest


@click.command("pareto", short_help="The trade of sensitivity against flash, RAM or both.")
@fit_options
@model_options(ParetoRequest, only=("axis", "points"))
@data_option
@json_option
def command(network_file: str, data: str | None, as_json: bool, **options: Any) -> int:
    """The least summed sensitivity of NETWORK at budgets from the least that would do to what 8 bits take.

    The budget that is not varied is given by --flash, --ram or --device; the one that is varied is searched whole.

    Exit code 0: there is a front. 1: nothing fits. 2: bad input.

    \b
    bitbudget pareto network.onnx --ram 40kB --flash 1MB --axis flash
    """
    request = fit_request(options, ParetoRequest)
    terms_of(request)
    network, name = read_network_file(network_file)
    table = table_for(request, network, data, is_quiet=as_json)
    answer = answer_pareto(network, name, request, table)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.cli.text.pareto import pareto_text

        click.echo(pareto_text(answer))
    return 0 if answer.points else DOES_NOT_FIT
