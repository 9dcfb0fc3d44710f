"""Requests as browsers send them for pages of other websites: each is refused, and changes nothing."""

from __future__ import annotations

import json

import pytest

from api.http.security.hosts import AllowedHosts, HostAndPort, is_same_origin
from api.settings import Settings
from network.errors import RequestError
from tests.api.http.security.raw_requests import answer_to, request
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_json

FORM = "multipart/form-data; boundary=limit"
BOUNDARY = b"--limit"


def form(content: bytes) -> bytes:
    return (
        BOUNDARY + b'\r\nContent-Disposition: form-data; name="file"; filename="tiny.json"\r\n\r\n' + content + b"\r\n"
        b"--limit--\r\n"
    )


def refused(service: LiveService, sent: bytes, status: int, slug: str) -> None:
    """Send a request, and check that it is refused by a problem of this type."""
    found, headers, body = answer_to(service.url, sent)
    assert (found, headers["content-type"]) == (status, "application/problem+json"), body
    assert json.loads(body)["type"] == f"/problems/{slug}"
    assert "access-control-allow-origin" not in headers


def host_of(service: LiveService) -> str:
    return service.url.removeprefix("http://")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", ""]
)
@pytest.mark.parametrize("path", ["/healthz", "/v1/networks", "/docs"])
def test_another_host_name_is_refused(service: LiveService, host: str, path: str) -> None:
    """After DNS rebinding, the browser takes the page of evil.example for a page of the service."""
    sent = request("GET", path, {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"})
    refused(service, sent, 421, "wrong-host")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "localhost.", "127.0.0.1", "[::1]:8000", "10.1.2.3:80"])
def test_the_own_names_and_addresses_are_answered(service: LiveService, host: str) -> None:
    status, headers, _ = answer_to(service.url, request("GET", "/healthz", {"Host": host}))
    assert status == 200
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_two_hosts_are_refused_and_an_old_program_without_host_is_answered(service: LiveService) -> None:
    twice = request("GET", "/healthz", {"Host": "localhost", "host": "evil.example"})
    assert answer_to(service.url, twice)[0] in {400, 421}
    assert answer_to(service.url, request("GET", "/healthz", {}))[0] == 400
    assert answer_to(service.url, request("GET", "/healthz", {}, version="1.0"))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "file://"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", FORM, "application/json", None])
def test_posts_of_other_pages_store_nothing(service: LiveService, headers: dict[str, str], kind: str | None) -> None:
    """A form or a text needs no preflight: the browser sends it, and only hides the answer from the page."""
    before = service.listed("/v1/networks")
    content = tiny_json() + b" " * (len(str(headers)) + 100 * len(str(kind)))  # so that it is a new network
    sent = {"Host": host_of(service), **headers} | ({"Content-Type": kind} if kind else {})
    refused(
        service, request("POST", "/v1/networks", sent, form(content) if kind == FORM else content), 403, "cross-origin"
    )
    assert service.listed("/v1/networks") == before


def test_a_preflight_allows_nothing(service: LiveService) -> None:
    asked = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "content-type"}
    sent = {"Host": host_of(service), "Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", **asked}
    refused(service, request("OPTIONS", "/v1/networks", sent), 403, "cross-origin")


@pytest.mark.parametrize("destination", ["image", "script", "iframe", "object", "empty"])
def test_a_page_cannot_embed_the_service(service: LiveService, destination: str) -> None:
    mode = "navigate" if destination in {"iframe", "object"} else "no-cors"
    fetched = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": destination}
    refused(service, request("GET", "/docs", {"Host": host_of(service), **fetched}), 403, "cross-origin")


def test_links_the_own_pages_and_programs_are_answered(service: LiveService) -> None:
    host = host_of(service)
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert answer_to(service.url, request("GET", "/docs", {"Host": host, **link}))[0] == 200
    own = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin", "Content-Type": FORM}
    assert answer_to(service.url, request("POST", "/v1/networks", {"Host": host, **own}, form(tiny_json())))[0] in {
        200,
        201,
    }
    assert answer_to(service.url, request("GET", "/healthz", {"Host": host}))[0] == 200


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("http://LOCALHOST:8000", "localhost.:8000", True),
        ("https://fit.example.com", "fit.example.com", True),
        ("https://fit.example.com", "fit.example.com:443", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://localhost:8000", "127.0.0.1:8000", False),
        ("http://localhost", "localhost:8000", False),
        ("http://localhost:8000@evil.example", "localhost:8000", False),
        ("http://evil.example/localhost:8000", "localhost:8000", False),
        ("ftp://localhost:8000", "localhost:8000", False),
        ("null", "null", False),
        ("", "localhost", False),
    ],
)
def test_an_origin_is_compared_with_the_host(origin: str, host: str, expected: bool) -> None:
    parsed = HostAndPort.parse(host)
    assert parsed is not None
    assert is_same_origin(origin, parsed) is expected


def test_the_setting_adds_names() -> None:
    hosts = AllowedHosts.of(Settings(host="Bitbudget.Internal", allowed_hosts="fit.example.com, FIT2.example.com"))

    def allows(text: str) -> bool:
        host = HostAndPort.parse(text)
        return host is not None and hosts.allows(host)

    assert all(
        map(allows, ["fit.example.com:443", "fit2.EXAMPLE.com", "bitbudget.internal:8000", "localhost", "[::1]"])
    )
    assert not any(
        map(allows, ["example.com", "a.fit.example.com", "fit.example.com:x", "fit.example.com/", "a b", "*"])
    )
    assert AllowedHosts.of(Settings(allowed_hosts="*")).allows(HostAndPort("any.example", None))
    for wrong in ("https://fit.example.com", "fit.example.com:8000", "a b"):
        with pytest.raises(RequestError, match="is not a host name; expected names without scheme and port"):
            AllowedHosts.of(Settings(allowed_hosts=wrong))
