"""The command `bitbudget fit`: choose the bits of every tensor of a network under a budget of flash and RAM."""

from __future__ import annotations

from typing import Any

import click

from api.cli.files import read_network_file
from api.cli.main import DOES_NOT_FIT
from api.cli.model_options import model_options
from api.cli.options import data_option, fit_options, fit_request, given_reading_options, json_option
from api.cli.remote_choice import Inputs, remote_of_command
from api.cli.sensitivity_tables import table_for
from api.operations.fit import answer_fit
from api.operations.question import terms_of
from api.schemas.fit import FitAnswer, FitRequest


@click.command("fit", short_help="Choose bits so that a network fits a memory budget.")
@fit_options
@data_option
@model_options(FitRequest, only=("shadow_prices",), flags={"shadow_prices": "--prices"})
@json_option
def command(network_file: str, data: str | None, as_json: bool, **options: Any) -> int:
    """Choose the number of bits (8, 4 or 2) of every tensor of a network, so that it fits a budget of flash and RAM.

    NETWORK is an ONNX file, a TFLite file or a JSON description (docs/json-description.md); - is the standard input.
    The budget comes from --flash and --ram, or from --device. Only the method exact has a proof, and uses the options
    that name exact.

    \b
    Exit codes:
      0  the network fits
      1  the network does not fit; the answer says how much memory is missing
      2  the input is invalid

    \b
    Examples:
      bitbudget fit network.onnx --flash 60kB --ram 40kB
      bitbudget fit network.onnx --device stm32f411re --reserved-ram 20KiB --data train.npz
    """
    request = fit_request(options)
    terms_of(request)  # rejects contradictory options before the file is read
    if (remote := remote_of_command(is_quiet=as_json)) is not None:
        reading, offset = given_reading_options(options), options["label_offset"]
        inputs = Inputs(network_file=network_file, reading=reading, data=data, label_offset=offset)
        answer = remote.answer(FitAnswer, request, inputs)
    else:
        network, name = read_network_file(network_file, given_reading_options(options))
        table = table_for(request, network, data, options["label_offset"], is_quiet=as_json)
        answer = answer_fit(network, name, request, table)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.cli.text.columns import show
        from api.cli.text.fit import fit_text

        show(fit_text(answer))
    return 0 if answer.fits else DOES_NOT_FIT
