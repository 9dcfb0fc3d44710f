"""Arguments and options that subcommands share, and reading the network that they name."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from api.answers import NetworkName
from api.requests import FitRequest
from network.errors import UnreadableFile
from network.network import Network
from network.reading import read_network

MAX_NETWORK_BYTES: Final = 2**30
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
            help="Rule book that counts bytes: paper.",
        ),
        click.option(
            "--method",
            default=str(fields["method"].default),
            show_default=True,
            help="Rules that choose bits: weights per layer (mixpl) or per channel (mixpc).",
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


def fit_request(flash: str, ram: str, method: str, accounting: str) -> FitRequest:
    return FitRequest(flash=flash, ram=ram, method=method, accounting=accounting)


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
