"""The service in a thread of the test's process, so that a test can look into it; HTTP goes through a real port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from api.http.app import create_app
from api.http.service import Service
from api.settings import Settings


class _Server(uvicorn.Server):
    """uvicorn server that tells another thread when it accepts requests, or has failed to."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self.has_started = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.has_started.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.events.close()
        await super().shutdown(sockets)


@contextmanager
def local_service(data: Path, **settings: Any) -> Iterator[tuple[Service, httpx.Client]]:
    """Run a service over a data directory; yield it with a client."""
    service = Service.open(Settings(data_directory=data, **settings))
    listener = socket.create_server(("127.0.0.1", 0))
    server = _Server(uvicorn.Config(create_app(service), log_config=None, timeout_graceful_shutdown=1), service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    server.has_started.wait(60)
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60) as client:
        try:
            yield service, client
        finally:
            server.should_exit = True
            thread.join(60)
    assert not thread.is_alive()
