"""`bitbudget serve`: the HTTP service."""

from __future__ import annotations

import copy
import signal
import socket
from pathlib import Path
from typing import Any

import click
import uvicorn
from uvicorn.config import LOGGING_CONFIG

from api.http.app import create_app
from api.http.service import Service
from api.services.operator_datasets import check_directory
from api.settings import (
    DEFAULT_DATA_DIRECTORY,
    DEFAULT_MAX_DATASET_BYTES,
    DEFAULT_MAX_NETWORK_BYTES,
    Settings,
)
from network.budget import parse_size_bytes
from network.errors import RequestError

GRACEFUL_SECONDS = 3
"""How long open requests may go on once the service is asked to end; containers wait for 10 s in all."""


@click.command("serve", short_help="Serve the HTTP API.")
@click.option("--host", envvar="BITBUDGET_HOST", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    envvar="BITBUDGET_PORT",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--data",
    envvar="BITBUDGET_DATA",
    type=click.Path(path_type=Path),
    default=DEFAULT_DATA_DIRECTORY,
    show_default=True,
    help="Directory of everything that the service keeps.",
)
@click.option(
    "--max-jobs",
    envvar="BITBUDGET_MAX_JOBS",
    type=click.IntRange(1, 1024),
    default=Settings.max_concurrent_jobs,
    show_default=True,
    help="Jobs that train at once.",
)
@click.option(
    "--max-network-size",
    envvar="BITBUDGET_MAX_NETWORK_SIZE",
    default=str(DEFAULT_MAX_NETWORK_BYTES),
    metavar="SIZE",
    help="Largest network file that is taken.  [default: 64MiB]",
)
@click.option(
    "--max-dataset-size",
    envvar="BITBUDGET_MAX_DATASET_SIZE",
    default=str(DEFAULT_MAX_DATASET_BYTES),
    metavar="SIZE",
    help="Largest dataset file that is taken.  [default: 512MiB]",
)
@click.option(
    "--datasets",
    "operator_datasets",
    envvar="BITBUDGET_DATASETS",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Directory whose entries are datasets that jobs can name: image folders, shards, ...; it is only read.",
)
def command(
    host: str,
    port: int,
    data: Path,
    max_jobs: int,
    max_network_size: str,
    max_dataset_size: str,
    operator_datasets: Path | None,
) -> None:
    """Serve the HTTP API; the first line printed is its URL.

    There is no authentication: anyone who reaches the port may use it. SIGTERM ends the service and its workers; their
    jobs go on from their last epoch when a service is started over the same data again. Every option can be given as an
    environment variable, e.g. BITBUDGET_DATA.
    """
    if operator_datasets is not None:
        check_directory(operator_datasets)
    settings = Settings(
        data_directory=data.absolute(),
        max_concurrent_jobs=max_jobs,
        max_network_bytes=parse_size_bytes(max_network_size, "--max-network-size"),
        max_dataset_bytes=parse_size_bytes(max_dataset_size, "--max-dataset-size"),
        operator_datasets=None if operator_datasets is None else operator_datasets.absolute(),
    )
    with _listen(host, port) as listener:
        config = uvicorn.Config(
            create_app(Service.open(settings)),
            log_config=_log_config(),
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _ended_gracefully)
        _AnnouncedServer(config, _url(listener)).run(sockets=[listener])


class _AnnouncedServer(uvicorn.Server):
    """Prints where it listens once it does."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            click.echo(self._url)


def _ended_gracefully(*_: object) -> None:
    """uvicorn handles the signal, and raises it once more when it has ended; then there is nothing left to do."""


def _listen(host: str, port: int) -> socket.socket:
    try:
        # The protocol must be named: only then asyncio turns Nagle's algorithm off, and 40 ms of waiting with it.
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise RequestError(f"cannot listen on {host}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise RequestError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _log_config() -> dict[str, Any]:
    """uvicorn's own, with the log of requests on the standard error too, and with our loggers."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    config["loggers"]["bitbudget"] = {"handlers": ["default"], "level": "INFO"}
    return config
