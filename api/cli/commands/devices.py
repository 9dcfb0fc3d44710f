"""The command `bitbudget devices`: list microcontrollers, or fit a network into the memory of each one."""

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
    given_reading_options,
    json_option,
    method_options,
    reading_options,
    reserve_options,
    solve_request,
)
from api.cli.remote_choice import Inputs, remote_of_command
from api.cli.sensitivity_tables import table_for
from api.operations.devices import answer_devices, device_answer
from api.schemas.devices import DevicesAnswer, DevicesRequest
from network.devices.catalogue import catalogue, device_named
from network.devices.device import Device


@click.command("devices", short_help="List microcontrollers, or fit a network into each of them.")
@click.argument("network_file", metavar="[NETWORK]", required=False)
@reading_options
@click.option(
    "--device",
    "names",
    multiple=True,
    metavar="NAME",
    help="Use only this microcontroller. May be repeated.  [default: all]",
)
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
    """Fit NETWORK into the memory of each microcontroller; without NETWORK, list the microcontrollers.

    The devices are those of the catalogue, or those of --devices-file; --device chooses from both.

    \b
    Exit codes:
      0  the network fits at least one device
      1  the network fits none of the devices
      2  the input is invalid

    \b
    Examples:
      bitbudget devices
      bitbudget devices network.onnx --reserved-ram 20KiB --reserved-flash 64KiB
    """
    devices = _chosen(names, custom_devices(devices_file))
    if network_file is None:
        return _list(devices, as_json=as_json)
    remote = remote_of_command(is_quiet=as_json)
    is_chosen = bool(names) or devices_file is not None
    # A service knows its own catalogue, which need not be this one.
    wanted = devices if remote is None or is_chosen else None
    request = solve_request(DevicesRequest, {**options, "devices": wanted})
    if remote is not None:
        reading, offset = given_reading_options(options), options["label_offset"]
        inputs = Inputs(network_file=network_file, reading=reading, data=data, label_offset=offset)
        answer = remote.answer(DevicesAnswer, request, inputs)
    else:
        network, name = read_network_file(network_file, given_reading_options(options))
        table = table_for(request, network, data, options["label_offset"], is_quiet=as_json)
        answer = answer_devices(network, name, request, table)
    if as_json:
        click.echo(answer.model_dump_json(indent=2))
    else:
        from api.cli.text.columns import show
        from api.cli.text.devices import devices_text

        show(devices_text(answer))
    return 0 if any(each.fits for each in answer.devices) else DOES_NOT_FIT


def _chosen(names: tuple[str, ...], custom: dict[str, Device]) -> list[Device]:
    if names:
        known = {**catalogue(), **custom}
        return list({name: device_named(name, known) for name in names}.values())
    return list((custom or catalogue()).values())


def _list(devices: list[Device], *, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps([device_answer(device).model_dump(mode="json") for device in devices], indent=2))
    else:
        from api.cli.text.columns import show
        from api.cli.text.devices import catalogue_text

        show(catalogue_text(devices))
    return 0
