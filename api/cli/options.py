"""Command-line options that several subcommands share, and the pydantic requests that are built from their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from api.cli.files import read_json, read_text
from api.cli.model_options import model_of, model_options
from api.schemas.fit import FitRequest
from api.schemas.sensitivity_fields import MEASURES
from api.schemas.solve import SolveRequest
from network.allocation import BITS
from network.devices.catalogue import catalogue, device_named, devices_from_json
from network.devices.device import Device
from network.errors import RequestError
from network.reading_options import ReadingOptions
from qat.data.label_offset import MAX_LABEL_OFFSET

Command = TypeVar("Command", bound=Callable[..., Any])
Request = TypeVar("Request", bound=SolveRequest)


def _all(decorators: Iterable[Callable[[Any], Any]]) -> Callable[[Command], Command]:
    """Combine decorators of a click command into one; the options of the first decorator come first in `--help`."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(list(decorators)):
            command = decorator(command)
        return command

    return decorate


def _help(field: str, more: str) -> str:
    """Return the `--help` text of an option: the description of a field of `FitRequest`, followed by more sentences.

    Args:
        field: Name of a field of `FitRequest`; of a mapping, the description of its values is used.
        more: Further sentences.
    """
    description = str(FitRequest.model_fields[field].description).rpartition(" -> ")[2]
    return f"{description[:1].upper()}{description[1:]}. {more}"


network_argument = click.argument("network_file", metavar="NETWORK")
reading_options = _all(
    (
        click.option(
            "--input-shape",
            "input_shapes",
            multiple=True,
            metavar="SHAPE",
            help="Extents of an input whose image size or length the file leaves open, such as 1,40,98; "
            "NAME=1x40x98 for one of several inputs, repeated.",
        ),
        click.option(
            "--output",
            "outputs",
            multiple=True,
            metavar="TENSOR",
            help="Tensor at which the network ends, by its name in the file; what is behind it is not read. "
            "May be repeated: several outputs.",
        ),
        click.option(
            "--input-mean",
            metavar="NUMBERS",
            help="Number to subtract from each sample, or one for each channel: 123.675,116.28,103.53. The input of "
            "the file is (sample - mean) * scale (docs/datasets.md).  [default: 0]",
        ),
        click.option(
            "--input-scale",
            metavar="NUMBERS",
            help="Number to multiply each sample with after the mean is subtracted, or one for each channel.  "
            "[default: 1]",
        ),
    )
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print the result as JSON, in the format of the HTTP service."
)
label_offset_option = click.option(
    "--label-offset",
    type=click.IntRange(-MAX_LABEL_OFFSET, MAX_LABEL_OFFSET),
    default=0,
    show_default=True,
    help="Number that is added to each label of the dataset.",
)
data_option = _all(
    (
        click.option(
            "--data",
            metavar="PATH",
            help="Dataset on which sensitivities are measured (docs/datasets.md), or 'digits'.",
        ),
        label_offset_option,
    )
)
devices_file_option = click.option(
    "--devices-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="JSON file with custom microcontrollers (docs/devices.md).",
)

budget_options = _all(
    (
        model_options(FitRequest, only=("flash", "ram")),
        click.option(
            "--device",
            metavar="NAME",
            help="Microcontroller whose memory is the budget; 'bitbudget devices' lists all.",
        ),
        devices_file_option,
    )
)

reserve_options = model_options(FitRequest, only=("reserved_flash", "reserved_ram"))

method_options = _all(
    (
        model_options(FitRequest, only=("method", "accounting")),
        model_options(FitRequest, only=("optimization",), flags={"optimization": "--optimize"}),
        click.option(
            "--sensitivity",
            metavar=f"{'|'.join(MEASURES)}|FILE",
            help="Sensitivity measure that the method exact minimizes, or FILE: a JSON table.  "
            "[default: fisher with --data, else weights]",
        ),
        model_options(FitRequest, only=("scheme",)),
        click.option(
            "--allowed-schemes",
            "allowed_schemes",
            metavar="SCHEME[,SCHEME]",
            help=_help("allowed_schemes", "Default: all."),
        ),
        model_options(FitRequest, only=("schedule",)),
        click.option(
            "--weight-bits",
            "allowed_weight_bits",
            multiple=True,
            metavar="LAYER=BITS",
            help=_help("allowed_weight_bits", "May be repeated. Example: fc=8,4."),
        ),
        click.option(
            "--activation-bits",
            "allowed_activation_bits",
            multiple=True,
            metavar="TENSOR=BITS",
            help=_help("allowed_activation_bits", "May be repeated."),
        ),
        click.option(
            "--wide-layer",
            "wide_layers",
            multiple=True,
            metavar="LAYER",
            help=_help("wide_layers", "May be repeated."),
        ),
        model_options(FitRequest, only=("backend", "time_limit_seconds"), flags={"time_limit_seconds": "--time-limit"}),
    )
)

latency_options = _all(
    (
        model_options(FitRequest, only=("max_cycles", "max_milliseconds")),
        click.option(
            "--core-speed",
            metavar="FILE",
            type=click.Path(path_type=Path),
            help=_help("core_speed", "Path of a JSON file (docs/exact.md)."),
        ),
    )
)

fit_options = _all(
    (network_argument, reading_options, budget_options, reserve_options, method_options, latency_options)
)
"""The argument NETWORK and all options of a fit request."""

REQUEST_FIELDS: Final = frozenset(FitRequest.model_fields) | {"devices_file"}
"""Names of the parameters of a command that belong to the fit request."""


def given_reading_options(options: dict[str, Any]) -> ReadingOptions:
    """Return the options of reading a network file from a command's options.

    Args:
        options: Values of `reading_options`; other values are ignored.

    Raises:
        RequestError: If an option is invalid.
    """
    return ReadingOptions.of_texts(
        options["input_shapes"], options["outputs"], options["input_mean"], options["input_scale"]
    )


def fit_request(options: dict[str, Any], kind: type[FitRequest] = FitRequest) -> Any:
    """Build a validated request from a command's options, and read the device, speed and table files that they name.

    Args:
        options: Values of `fit_options` and of further fields of the request; other values are ignored.
        kind: Class of the request.

    Raises:
        RequestError: If a file cannot be read, a device is unknown, or an option is invalid.
    """
    given = dict(options)
    devices = custom_devices(given.pop("devices_file"))
    name = given["device"]
    if name is not None:
        given["device"] = device_named(name, {**catalogue(), **devices})
    elif devices:
        raise RequestError(f"--devices-file has {len(devices)} devices, and none is named; choose one with --device")
    if given["core_speed"] is not None:
        given["core_speed"] = read_json(given["core_speed"], "a table of the core's speeds")
    return solve_request(kind, given)


def solve_request(kind: type[Request], options: dict[str, Any]) -> Request:
    """Build a validated request for bits from a command's options, and read the sensitivity file that they name.

    Args:
        kind: Class of the request.
        options: Values of `method_options` and of further fields of the request; other values are ignored.

    Raises:
        RequestError: If a file cannot be read, or an option is invalid.
    """
    given = dict(options)
    for name in ("allowed_weight_bits", "allowed_activation_bits"):
        given[name] = dict(_allowed(name, each) for each in given[name])
    if given["allowed_schemes"] is not None:
        given["allowed_schemes"] = [name.strip() for name in given["allowed_schemes"].split(",")]
    sensitivity = given["sensitivity"]
    if sensitivity is not None and sensitivity not in MEASURES:
        what = f"a sensitivity table, or one of the measures {', '.join(MEASURES)}"
        given["sensitivity"] = read_json(Path(sensitivity), what)
    return model_of(kind, given)


def custom_devices(path: Path | None) -> dict[str, Device]:
    """Read the custom devices (microcontrollers) of a JSON file, by name; an empty mapping without a file.

    Args:
        path: Path of the JSON file with the devices; None if the user gave no such file.

    Raises:
        RequestError: If the file cannot be read, or a device in it is invalid.
    """
    if path is None:
        return {}
    return {device.name: device for device in devices_from_json(read_text(path, "a table of devices"))}


def _allowed(option: str, text: str) -> tuple[str, list[int]]:
    """Parse a command-line value such as 'fc=8,4' into a name and its allowed bits: 'fc' and [8, 4]."""
    name, separator, bits = text.rpartition("=")
    parts = bits.split(",")
    if not separator or not name or not all(part.strip() in map(str, BITS) for part in parts):
        what = option.removeprefix("allowed_").replace("_", "-")
        raise RequestError(f"--{what} is {text[:60]!r}; expected NAME=BITS, such as first=8 or first=8,4")
    return name, [int(part) for part in parts]
