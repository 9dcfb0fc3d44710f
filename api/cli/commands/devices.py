"""`bitbudget devices`: the catalogue, and which of its devices a network fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from api.cli.files import read_network_file
from api.cli.main import DOES_NOT_FIT
from api.cli.options import (
    custom_devices,
    data_option,
    devices_file_option,
    json_option,
    method_options,
    reserve_options,
    solve_request,
)
from api.cli.sensitivity_tables import table_for
from api.operations.devices import answer_devices, device_answer
from api.schemas.devices import DevicesRequest
from network.devices.catalogue import catalogue, device_named
from network.devices.device import Device


@click.command("devices", short_help="List devices; which of them does a network fit?")
@click.argument("network_file", metavar="[NETWORK]", required=False)
@click.option("--device", "names", multiple=True, metavar="NAME", help="Only this one; may be repeated.  [all]")
@devices_file_option
@reserve_options
@method_options
@data_option
@json_option
def command(
    network_file: str | None,
    names: tuple[str, ...],
    devices_file: Path | None,
    data: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Which devices NETWORK fits, and how well. Without NETWORK: the devices, and what memory they have.

    With --devices-file alone, the devices are those of the file; --device chooses from the file and the catalogue.

    Exit code 0: it fits one or more. 1: it fits none. 2: bad input.

    \b
    bitbudget devices
    bitbudget devices network.onnx --reserved-ram 20KiB --reserved-flash 64KiB
    """
    devices = _chosen(names, custom_devices(devices_file))
    if network_file is None:
        return _list(devices, as_json=as_json)
    request = solve_request(DevicesRequest, {**options, "devices": devices})
    network, name = read_network_file(network_file)
    table = table_for(request, network, data, is_quiet=as_json)
    answer = answer_devices(network, name, request, table)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.cli.text.devices import devices_text

        click.echo(devices_text(answer))
    return 0 if any(each.fits for each in answer.devices) else DOES_NOT_FIT


def _chosen(names: tuple[str, ...], own: dict[str, Device]) -> list[Device]:
    if names:
        known = {**catalogue(), **own}
        return list({name: device_named(name, known) for name in names}.values())
    return list((own or catalogue()).values())


def _list(devices: list[Device], *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps([device_answer(device).model_dump(mode="json") for device in devices], indent=2))
    else:
        from api.cli.text.devices import catalogue_text

        click.echo(catalogue_text(devices))
    return 0
