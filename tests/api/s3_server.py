"""An S3 server of its own for tests: moto's, behind a proxy that can be cut off.

moto keeps its objects in memory, so that killing it would lose them, which a real store does not. A store that is
killed and started again is therefore played by the proxy: connections break at any byte, and new ones are refused.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Lock, Thread
from typing import Any, Final, Self
from unittest import mock

import boto3
import httpx

PATIENCE_SECONDS: Final = 60
KEYS: Final = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
_PIECE_BYTES: Final = 65536


class S3Server:
    """moto's S3 server in a process; it ends with its context."""

    def __init__(self) -> None:
        self.port = _free_port()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.proxy = Proxy(self.port)
        self._numbers = count(1)
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert time.monotonic() < give_up_at, "moto's server does not start"
            assert self.process.poll() is None, "moto's server has ended"
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{self.port}/moto-api/")
                return
            time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.proxy.cut()
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables with which the store is reached, through the proxy."""
        return KEYS | {"AWS_ENDPOINT_URL": self.proxy.url}

    def client(self) -> Any:
        """Return boto3's client, which does not go through the proxy."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def new_store(self) -> str:
        """Make an empty bucket, and return the URL of a store in it."""
        bucket = f"store-{next(self._numbers)}"
        self.client().create_bucket(Bucket=bucket)
        return f"s3://{bucket}/bitbudget"

    def objects(self, url: str) -> dict[str, bytes]:
        """Return the objects of a store by their names in it."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        contents = {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
        return {key.removeprefix(f"{prefix}/"): content for key, content in contents.items()}

    @contextmanager
    def demanding_keys(self) -> Iterator[None]:
        """Let the server refuse the keys of the tests, which no user of it has."""
        reset = f"http://127.0.0.1:{self.port}/moto-api/reset-auth"
        httpx.post(reset, content=b"0").raise_for_status()
        try:
            yield
        finally:
            httpx.post(reset, content=b"inf").raise_for_status()

    def change(self, url: str, name: str, content: bytes | None) -> None:
        """Replace an object behind the back of the service, or delete it."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        place = {"Bucket": bucket, "Key": f"{prefix}/{name}"}
        if content is None:
            self.client().delete_object(**place)
        else:
            self.client().put_object(**place, Body=content)


@contextmanager
def reaching(server: S3Server) -> Iterator[None]:
    """Give this process, and those that it starts, the variables by which the store is reached."""
    with mock.patch.dict(os.environ, server.variables):
        yield


class Proxy:
    """Proxy in front of a port of this machine, with an address that stays the same when it is cut off and restored."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._changing = Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = _free_port()
        self.restore()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def restore(self) -> None:
        """Accept connections again, if they are refused."""
        with self._changing:
            if self._listener is not None:
                return
        listener = socket.create_server(("127.0.0.1", self.port))
        with self._changing:
            self._listener = listener
        Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        with self._changing:
            ended = [*self._open, *([] if self._listener is None else [self._listener])]
            self._open.clear()
            self._listener = None
        for each in ended:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with self._changing:
                if self._listener is not listener:
                    client.close()
                    server.close()
                    return
                self._open |= {client, server}
            for pair in ((client, server), (server, client)):
                Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                target.sendall(piece)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
            with self._changing:
                self._open.discard(each)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
