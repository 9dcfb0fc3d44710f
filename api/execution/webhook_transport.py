"""HTTP transport of webhooks: it connects to the very address that was checked, and to no other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from threading import Thread

import httpx

from api.services.webhook_addresses import Address, Reach, address_of
from network.errors import BitbudgetError

Resolver = Callable[[str, int], Awaitable[list[Address]]]
"""Function from a host name and a port to all addresses of the host; it raises OSError if there are none."""


class Unreachable(BitbudgetError):
    """Error: a host has no address that webhooks may reach."""


class CheckedTransport(httpx.AsyncBaseTransport):
    """Transport that resolves the host of each request, and connects only to addresses that webhooks may reach.

    A name that does not exist and one that has only forbidden addresses have the same error, so that callers cannot
    learn which names exist in the network of the service. The certificate is checked against the name.

    Args:
        reach: Addresses that webhooks may reach.
        resolver: Function that resolves host names.
    """

    def __init__(self, reach: Reach, resolver: Resolver) -> None:
        self._reach = reach
        self._resolver = resolver
        self._transport = httpx.AsyncHTTPTransport(
            verify=httpx.create_ssl_context(), trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to the first address of its host that may be reached and takes the connection.

        Raises:
            Unreachable: If the host has no such address.
        """
        host = request.url.raw_host.decode("ascii")
        literal = address_of(host)
        extensions = request.extensions if literal is not None else {**request.extensions, "sni_hostname": host}
        failure: Exception | None = None
        for address in await self._allowed(host, literal, request.url):
            sent = httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,  # Host among them
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return await self._transport.handle_async_request(sent)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        if failure is not None:
            raise failure
        secure = "" if request.url.scheme == "https" else ", or use https"
        raise Unreachable(
            f"the host {host[:100]!r} has no address that webhooks may reach; expected one in the public internet, or "
            f"in the networks that the operator allows (--webhook-networks){secure}"
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _allowed(self, host: str, literal: Address | None, url: httpx.URL) -> list[Address]:
        encrypted = url.scheme == "https"
        try:
            port = url.port or (443 if encrypted else 80)
            found = [literal] if literal is not None else await self._resolver(host, port)
        except (OSError, UnicodeError):
            return []
        return [address for address in found if self._reach.reaches(address, encrypted=encrypted)]


async def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a host, by the resolver of the machine.

    Each look-up has a thread that nothing waits for: a name server that does not answer must neither hold up other
    deliveries nor the end of the service.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Address]] = loop.create_future()

    def settle(found: list[Address] | Exception) -> None:
        if not answer.done():
            answer.set_exception(found) if isinstance(found, Exception) else answer.set_result(found)

    def look_up() -> None:
        found: list[Address] | Exception
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [address_of(str(info[4][0])) for info in infos]
            found = [each for each in dict.fromkeys(addresses) if each is not None]
        except (OSError, UnicodeError) as error:
            found = error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, found)

    Thread(target=look_up, name="webhook-resolver", daemon=True).start()
    return await answer
