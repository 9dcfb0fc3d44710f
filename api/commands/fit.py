"""`bitbudget fit`: which bits fit a network into a budget."""

from __future__ import annotations

from typing import Any

import click

from api.answers import answer_fit
from api.command import DOES_NOT_FIT
from api.commands.options import budget_options, exact_options, fit_request, read_network_file


@click.command("fit", short_help="Choose bits that fit a budget.")
@budget_options
@exact_options
def command(network_file: str, flash: str, ram: str, method: str, accounting: str, as_json: bool, **exact: Any) -> int:
    """Choose the bits of every tensor of NETWORK, an ONNX file or a JSON description.

    Exit code 0: it fits. 1: it does not; the answer says what is missing, and where. 2: bad input.

    \b
    bitbudget fit network.onnx --flash 60kB --ram 40kB
    """
    request = fit_request(flash, ram, method, accounting, exact)
    request.budget()  # judged before the file is read
    network, name = read_network_file(network_file)
    answer, _ = answer_fit(network, name, request)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.tables import fit_text

        click.echo(fit_text(answer))
    return 0 if answer.fits else DOES_NOT_FIT
