"""`bitbudget fit`: which bits fit a network into a budget."""

from __future__ import annotations

from typing import Any

import click

from api.cli.files import read_network_file
from api.cli.main import DOES_NOT_FIT
from api.cli.model_options import model_options
from api.cli.options import data_option, fit_options, fit_request, json_option
from api.cli.sensitivity_tables import table_for
from api.operations.fit import answer_fit
from api.operations.question import terms_of
from api.schemas.fit import FitRequest


@click.command("fit", short_help="Choose bits that fit a budget.")
@fit_options
@data_option
@model_options(FitRequest, only=("shadow_prices",), flags={"shadow_prices": "--prices"})
@json_option
def command(network_file: str, data: str | None, as_json: bool, **options: Any) -> int:
    """Choose the bits of every tensor of NETWORK, an ONNX file, a TFLite file or a JSON description.

    Exit code 0: it fits. 1: it does not; the answer says what is missing, and where. 2: bad input.

    \b
    bitbudget fit network.onnx --flash 60kB --ram 40kB
    bitbudget fit network.onnx --device stm32f411re --reserved-ram 20KiB --data train.npz
    """
    request = fit_request(options)
    terms_of(request)  # what the options contradict is refused before the file is read
    network, name = read_network_file(network_file)
    table = table_for(request, network, data, is_quiet=as_json)
    answer = answer_fit(network, name, request, table)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.cli.text.fit import fit_text

        click.echo(fit_text(answer))
    return 0 if answer.fits else DOES_NOT_FIT
