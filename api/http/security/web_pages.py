"""Protection against web pages that use the browser of a user to send requests to the service.

A browser sends requests of any page to any address, also to 127.0.0.1 and to a company's network, where the page itself
could not reach. Forms and texts are sent without asking the service first.

    Host is not an allowed name              421    DNS rebinding: the page's own name means this address now
    Origin is another one, or "null"         403    a request from a page of another website
    Sec-Fetch-Site is cross-site, same-site  403    the same without Origin, such as an image or a frame
                                                    allowed: a link to the service that a user follows (GET, whole page)

Programs such as curl send neither Origin nor Sec-Fetch-Site. Every response forbids other pages to show it in a frame,
to embed it, and to guess its type.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import CROSS_ORIGIN, WRONG_HOST
from api.http.problem_responses import problem_response
from api.http.security.hosts import AllowedHosts, HostAndPort, is_same_origin
from api.schemas.problems import Problem

_OWN_SITES: Final = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site of requests from the service's own pages, and of those that a user typed."""

_RESPONSE_HEADERS: Final = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class WebPageGuard:
    """ASGI middleware that refuses requests which a page of another website has sent.

    Args:
        app: The application that receives the accepted requests.
        hosts: Host names under which the service answers.
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one HTTP request to the application, or refuse it (the ASGI protocol)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _RESPONSE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal is None:
            await self._app(scope, receive, with_headers)
        else:
            await problem_response(refusal)(scope, receive, with_headers)

    def _refusal(self, method: str, headers: Headers) -> Problem | None:
        """Return the problem of a request that must not be answered; None if it may be."""
        given = headers.getlist("host")
        if not given:
            return None  # an HTTP/1.0 program; a browser always sends a host
        host = HostAndPort.parse(given[0]) if len(given) == 1 else None
        if host is None or not self._hosts.allows(host):
            return WRONG_HOST.problem(
                f"the service does not answer under the host {', '.join(given)[:80]!r}; expected an address, "
                f"{', '.join(sorted(self._hosts.names))}: use one of them, or let the operator of the service add the "
                "name to BITBUDGET_ALLOWED_HOSTS"
            )
        for origin in headers.getlist("origin"):
            if not is_same_origin(origin, host):
                return CROSS_ORIGIN.problem(
                    f"a page of {origin[:80]!r} has sent the request; expected a program, or a page of the service "
                    f"itself ({given[0][:80]})"
                )
        site = headers.get("sec-fetch-site", "none")
        if site not in _OWN_SITES and not _follows_link(method, headers):
            return CROSS_ORIGIN.problem(
                f"a page of another website has sent the request (Sec-Fetch-Site is {site[:20]!r}); expected a "
                "program, or a page of the service itself"
            )
        return None


def _follows_link(method: str, headers: Headers) -> bool:
    """Return whether a user has followed a link of another website, so that the browser shows the answer alone."""
    return (
        method in {"GET", "HEAD"}
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
