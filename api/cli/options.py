"""Options that subcommands share, with the requests' defaults and descriptions; and the request that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from api.cli.files import read_json, read_text
from api.operations.measures import MEASURES
from api.schemas.fit import FitRequest
from api.schemas.solve import SolveRequest
from network.allocation import BITS
from network.devices.catalogue import catalogue, device_named, device_to_json, devices_from_json
from network.devices.device import Device
from network.errors import RequestError

Command = TypeVar("Command", bound=Callable[..., Any])

_FIT: Final = FitRequest.model_fields


def _all(decorators: Iterable[Callable[[Any], Any]]) -> Callable[[Command], Command]:
    """The decorators, the first one's option first in the help."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(list(decorators)):
            command = decorator(command)
        return command

    return decorate


network_argument = click.argument("network_file", metavar="NETWORK")
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object, the same as the service answers."
)
data_option = click.option(
    "--data",
    metavar="PATH",
    help="Samples to measure sensitivities on: a dataset (as for train), or 'digits'.",
)
devices_file_option = click.option(
    "--devices-file", metavar="FILE", type=click.Path(path_type=Path), help="Devices of your own (docs/devices.md)."
)

budget_options = _all(
    (
        click.option(
            "--flash",
            metavar="SIZE",
            help="Flash that the network may take: bytes, or a number with kB, KiB, MB or MiB.  [the device's]",
        ),
        click.option("--ram", metavar="SIZE", help="RAM that it may take.  [the device's]"),
        click.option("--device", metavar="NAME", help="A microcontroller (bitbudget devices lists them)."),
        devices_file_option,
    )
)

reserve_options = _all(
    (
        click.option("--reserved-flash", metavar="SIZE", default="0", help="Flash that the rest of the program takes."),
        click.option("--reserved-ram", metavar="SIZE", default="0", help="RAM that the rest of the program takes."),
    )
)

method_options = _all(
    (
        click.option(
            "--method",
            default=str(_FIT["method"].default),
            show_default=True,
            help="exact: the best bits; or by the paper's rules, weights per layer (mixpl) or per channel (mixpc).",
        ),
        click.option(
            "--accounting",
            default=str(_FIT["accounting"].default),
            show_default=True,
            help="Rule book that counts bytes: deployed or paper.",
        ),
        click.option(
            "--sensitivity",
            metavar=f"{'|'.join(MEASURES)}|FILE",
            help="What is minimised; a FILE is a JSON table.  [exact: fisher with --data, else weights]",
        ),
        click.option(
            "--scheme",
            default=str(_FIT["scheme"].default),
            show_default=True,
            help="For exact: PerChannelsAsymMinMax or PerLayerAsymPACT.",
        ),
        click.option(
            "--schedule",
            default=str(_FIT["schedule"].default),
            show_default=True,
            help="For exact: the best order of layers, or the given one.",
        ),
        click.option(
            "--weight-bits",
            "allowed_weight_bits",
            multiple=True,
            metavar="LAYER=BITS",
            help="For exact: bits that a layer's weights may have, e.g. fc=8,4; '*' is all others; may be repeated.",
        ),
        click.option(
            "--activation-bits",
            "allowed_activation_bits",
            multiple=True,
            metavar="TENSOR=BITS",
            help="For exact: bits that a tensor may have, likewise.",
        ),
        click.option(
            "--backend",
            default=_FIT["backend"].default,
            show_default=True,
            help="For exact: native, highs, or pulp (CBC), or pulp: and a solver that PuLP finds.",
        ),
        click.option(
            "--time-limit",
            "time_limit_seconds",
            type=float,
            default=_FIT["time_limit_seconds"].default,
            show_default=True,
            metavar="SECONDS",
            help="For exact: afterwards the best answer so far is given, with its bound.",
        ),
    )
)

latency_options = _all(
    (
        click.option(
            "--max-cycles", type=int, metavar="N", help="For exact: the most cycles of one inference, as estimated."
        ),
        click.option(
            "--max-milliseconds",
            type=float,
            metavar="MS",
            help="The same as a time, at the device's clock.",
        ),
        click.option(
            "--core-speed",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="Cycles by kernel and bits, as JSON (docs/exact.md).  [the device's core's]",
        ),
    )
)

fit_options = _all((network_argument, budget_options, reserve_options, method_options, latency_options))
"""NETWORK and all that a fit request takes."""

REQUEST_FIELDS: Final = frozenset(_FIT) | {"devices_file"}


def fit_request(options: dict[str, Any], kind: type[FitRequest] = FitRequest, **more: Any) -> Any:
    """The request that a command's options make; whatever is a file is read.

    Args:
        options: the values of `fit_options`; more of them are left out.
        kind: the request's class.
        more: other fields of it.

    Raises:
        RequestError: a file that cannot be read or is none of the kind, or an unknown device.
    """
    fields = solve_fields(options)
    name = options["device"]
    devices = own_devices(options["devices_file"])
    if name is not None:
        fields["device"] = device_to_json(device_named(name, {**catalogue(), **devices}))
    elif devices:
        raise RequestError(f"--devices-file brings {len(devices)} devices; name one with --device")
    for field in ("flash", "ram", "max_cycles", "max_milliseconds"):
        fields[field] = options[field]
    if options["core_speed"] is not None:
        fields["core_speed"] = read_json(options["core_speed"], "the table of speeds")
    return kind(**fields, **more)


def solve_fields(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of any request that chooses bits."""
    fields = {name: options[name] for name in SolveRequest.model_fields}
    for name in ("allowed_weight_bits", "allowed_activation_bits"):
        fields[name] = dict(_allowed(name, each) for each in options[name])
    given = options["sensitivity"]
    if given is not None and given not in MEASURES:
        fields["sensitivity"] = read_json(Path(given), f"the sensitivity table (or one of {', '.join(MEASURES)})")
    return fields


def own_devices(path: Path | None) -> dict[str, Device]:
    """The devices of a file, by name; none without a file.

    Raises:
        RequestError: it cannot be read, or holds no devices.
    """
    if path is None:
        return {}
    return {device.name: device for device in devices_from_json(read_text(path, "the devices file"))}


def _allowed(option: str, text: str) -> tuple[str, list[int]]:
    name, separator, bits = text.rpartition("=")
    parts = bits.split(",")
    if not separator or not name or not all(part.strip() in map(str, BITS) for part in parts):
        what = option.removeprefix("allowed_").replace("_", "-")
        raise RequestError(f"--{what} is {text[:60]!r}; expected a name and its bits, e.g. first=8 or first=8,4")
    return name, [int(part) for part in parts]
