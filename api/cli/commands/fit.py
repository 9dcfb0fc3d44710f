"""`bitbudget fit`: which bits fit a network into a budget."""

from __future__ import annotations

from typing import Any

import click

from api.cli.files import read_network_file
from api.cli.main import DOES_NOT_FIT
from api.cli.options import data_option, fit_options, fit_request, json_option
from api.cli.sensitivity_tables import table_for
from api.operations.fit import answer_fit


@click.command("fit", short_help="Choose bits that fit a budget.")
@fit_options
@data_option
@click.option("--prices", is_flag=True, help="Also tell what one more kB of each budget would buy.")
@json_option
def command(network_file: str, data: str | None, prices: bool, as_json: bool, **options: Any) -> int:
    """Choose the bits of every tensor of NETWORK, an ONNX file or a JSON description.

    Exit code 0: it fits. 1: it does not; the answer says what is missing, and where. 2: bad input.

    \b
    bitbudget fit network.onnx --flash 60kB --ram 40kB
    bitbudget fit network.onnx --device stm32f411re --reserved-ram 20KiB --data train.npz
    """
    request = fit_request(options, shadow_prices=prices)
    request.budget()  # judged before the file is read
    request.exact_options()
    network, name = read_network_file(network_file)
    table = table_for(request, network, data, is_quiet=as_json)
    answer, _ = answer_fit(network, name, request, table)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.cli.text.fit import fit_text

        click.echo(fit_text(answer))
    return 0 if answer.fits else DOES_NOT_FIT
