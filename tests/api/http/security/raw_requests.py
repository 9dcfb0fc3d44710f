"""Requests as bytes on a socket, with headers that no HTTP library would send."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def connection(url: str, timeout: float = 30.0) -> socket.socket:
    """Return an open connection to the service at a URL."""
    address = urlsplit(url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout)


def request(
    method: str, path: str, headers: dict[str, str], body: bytes = b"", version: str = "1.1", length: int | None = None
) -> bytes:
    """Return an HTTP request with exactly these headers, and with the length of its body if it has one."""
    sent = dict(headers)
    if body or length is not None:
        sent["Content-Length"] = str(len(body) if length is None else length)
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def answer_to(url: str, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers by lower-case name, and body of the answer to the bytes of a request."""
    with connection(url) as client:
        client.sendall(sent)
        return read_answer(client)


def read_answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one answer with a Content-Length; the status is 0 if the service closes the connection without one."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (chunk := client.recv(65536)):
            return 0, {}, received
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)) and (chunk := client.recv(65536)):
        body += chunk
    return int(status.split()[1]), headers, body
