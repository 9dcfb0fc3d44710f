"""Arguments and options that subcommands share, and reading the network that they name."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from api.answers import NetworkName
from api.requests import WEIGHTS_MEASURE, FitRequest
from network.errors import RequestError, UnreadableFile
from network.network import Network
from network.reading import read_network

MAX_NETWORK_BYTES: Final = 2**30
MAX_TABLE_BYTES: Final = 64 * 2**20
STDIN: Final = "-"

Command = TypeVar("Command", bound=Callable[..., Any])


def budget_options(command: Command) -> Command:
    """NETWORK --flash --ram --method --accounting --json, with the request's defaults and descriptions."""
    fields = FitRequest.model_fields
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object, the same as the service answers."),
        click.option(
            "--accounting",
            default=fields["accounting"].default,
            show_default=True,
            help="Rule book that counts bytes: paper or deployed.",
        ),
        click.option(
            "--method",
            default=str(fields["method"].default),
            show_default=True,
            help="exact: the best bits; or by the paper's rules, weights per layer (mixpl) or per channel (mixpc).",
        ),
        click.option("--ram", required=True, metavar="SIZE", help="RAM for activation tensors."),
        click.option(
            "--flash",
            required=True,
            metavar="SIZE",
            help="Flash for weights and parameters: bytes, or a number with kB, KiB, MB or MiB.",
        ),
        click.argument("network_file", metavar="NETWORK"),
    ):
        command = decorate(command)
    return command


EXACT_OPTIONS: Final = ("sensitivity", "scheme", "schedule", "backend", "time_limit_seconds")


def exact_options(command: Command) -> Command:
    """What concerns the exact program, with the request's defaults."""
    fields = FitRequest.model_fields
    for decorate in (
        click.option(
            "--time-limit",
            "time_limit_seconds",
            type=float,
            default=fields["time_limit_seconds"].default,
            show_default=True,
            metavar="SECONDS",
            help="For exact: afterwards the best answer so far is given, with its bound.",
        ),
        click.option(
            "--backend",
            default=fields["backend"].default,
            show_default=True,
            help="For exact: native, highs, or pulp (CBC), or pulp: and a solver that PuLP finds.",
        ),
        click.option(
            "--schedule",
            default=fields["schedule"].default,
            show_default=True,
            help="For exact: the best order of layers, or the given one.",
        ),
        click.option(
            "--scheme",
            default=str(fields["scheme"].default),
            show_default=True,
            help="For exact: PerChannelsAsymMinMax or PerLayerAsymPACT.",
        ),
        click.option(
            "--sensitivity",
            metavar="weights|FILE",
            help="What is minimised: from the weights alone, or a JSON table.  [exact: weights]",
        ),
    ):
        command = decorate(command)
    return command


def fit_request(flash: str, ram: str, method: str, accounting: str, exact: dict[str, Any]) -> FitRequest:
    """The request of a command's options; a sensitivity that is a file is read.

    Raises:
        RequestError: a file that cannot be read, or is no table.
    """
    sensitivity = exact["sensitivity"]
    if sensitivity is not None and sensitivity != WEIGHTS_MEASURE:
        exact = exact | {"sensitivity": _table_file(Path(sensitivity))}
    return FitRequest(flash=flash, ram=ram, method=method, accounting=accounting, **exact)


def _table_file(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise RequestError(f"'{path}' has more than {MAX_TABLE_BYTES} bytes; expected a table of sensitivities")
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(
            f"cannot read the sensitivity table '{path}': {error.strerror}; expected '{WEIGHTS_MEASURE}' or a JSON file"
        ) from None
    except (ValueError, RecursionError) as error:
        raise RequestError(f"'{path}' is no JSON: {str(error)[:100]}") from None
    if not isinstance(table, dict):
        raise RequestError(f"'{path}' holds no table: an object with 'weights' and 'activations' is expected")
    return table


def read_network_file(network_file: str) -> tuple[Network, NetworkName]:
    """The network in a file (`-` is the standard input), and how answers call it.

    Raises:
        UnreadableFile: no such file, or one that cannot be read or is too large.
        NetworkError: no network.
    """
    path = Path(network_file)
    try:
        if network_file == STDIN:
            content = sys.stdin.buffer.read(MAX_NETWORK_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(MAX_NETWORK_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableFile(
            f"there is no file '{network_file}'; expected an ONNX file or a JSON description"
        ) from None
    except IsADirectoryError:
        raise UnreadableFile(f"'{network_file}' is a directory; expected an ONNX file or a JSON description") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableFile(f"cannot read '{network_file}': {reason}") from None
    if len(content) > MAX_NETWORK_BYTES:
        raise UnreadableFile(f"'{network_file}' has more than {MAX_NETWORK_BYTES} bytes; no microcontroller takes it")
    network = read_network(content, "stdin" if network_file == STDIN else path.stem)
    return network, NetworkName(id=hashlib.sha256(content).hexdigest(), name=network.name)
