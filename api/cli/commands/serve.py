"""The command `bitbudget serve`: run the HTTP service."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from typing import Any, Final

import click
import uvicorn

from api.cli.setting_options import setting_options, settings_of
from api.http.app import create_app
from api.http.security.connections import ConnectionLimits, connections_with, reserve_files
from api.http.security.exposure import check_exposure
from api.http.service import Service
from api.logs import log_config
from api.services.operator_datasets import check_directory
from network.errors import RequestError

GRACEFUL_SECONDS: Final = 3
"""Time in seconds for open requests to finish after the service is asked to end; container engines wait 10 s in all."""

KEEP_ALIVE_SECONDS: Final = 30
"""Time in seconds after which an idle connection is closed; longer than most clients keep one for another request."""


@click.command("serve", short_help="Serve the HTTP API.")
@setting_options
def command(**options: Any) -> None:
    """Run the HTTP service of bitbudget, and print its URL as the first line on standard output.

    Without keys, the service listens on the loopback interface alone. SIGTERM ends the service and its workers. When a
    service is started with the same data directory again, the unfinished jobs continue from their last epoch. Each
    option can also be set by an environment variable, for example BITBUDGET_DATA.
    """
    settings = settings_of(options)
    if settings.operator_datasets is not None:
        check_directory(settings.operator_datasets)
    reserve_files(settings.max_connections)
    with _listen(settings.host, settings.port) as listener:
        service = Service.open(settings)
        has_keys = settings.oidc_issuer is not None or service.store.has_api_keys_in_any_project()
        check_exposure(settings, listener.getsockname()[0], has_keys=has_keys)
        config = uvicorn.Config(
            create_app(service),
            http=connections_with(ConnectionLimits(max_connections=settings.max_connections)),
            ws="none",
            log_config=log_config(settings.log_format),
            access_log=False,  # the service logs its requests itself, with their identifiers
            timeout_graceful_shutdown=GRACEFUL_SECONDS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _ignore_repeated_signal)
        _AnnouncedServer(config, _url(listener), service.events.close).run(sockets=[listener])


class _AnnouncedServer(uvicorn.Server):
    """uvicorn server that prints its URL as soon as it accepts HTTP requests, and ends streams when it shall end."""

    def __init__(self, config: uvicorn.Config, url: str, end_streams: Callable[[], None]) -> None:
        super().__init__(config)
        self._url = url
        self._end_streams = end_streams

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            click.echo(self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_streams()  # otherwise the server would wait for them
        await super().shutdown(sockets)


def _ignore_repeated_signal(*_: object) -> None:
    """Ignore the signal that uvicorn raises a second time after the HTTP server has shut down."""


def _listen(host: str, port: int) -> socket.socket:
    try:
        # asyncio turns off Nagle's algorithm, which can delay an answer by 40 ms, only if the protocol is given here.
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise RequestError(
            f"cannot listen on the address {host}: {error.strerror or error}; choose another with --host"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise RequestError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another port"
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
