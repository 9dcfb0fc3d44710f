"""Requests to a service over HTTP: sent again where that is harmless, and answered by typed objects or errors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx

from api.client.address import Address
from api.client.answers import answer_of, versions
from api.client.errors import NoConnection, NotBitbudget, ServiceProblem
from api.client.retries import Pauses, Timeouts, retry_after_seconds
from api.schemas.index import Index
from api.schemas.problems import Problem
from api.version import version
from network.errors import RequestError

Answered = TypeVar("Answered")

FIRST_CONTACT_SECONDS: Final = 3.0
"""Time for which the first request is sent again: a service that has never answered may not exist."""

_REFUSED: Final = frozenset({429, 503})
"""Statuses of requests that the service has not started, so that each can be sent again."""

_FROM_PROXY: Final = frozenset({502, 504})
"""Statuses of a proxy that has lost the service: it may have started the request."""

_OF_OTHER_VERSIONS: Final = frozenset({404, 405, 422})
"""Statuses by which a service of another version refuses a request that it does not know."""

_GONE: Final = 404
"""Status of a deletion that has succeeded before, when its answer was lost."""

_MAX_SHOWN: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request to the service.

    Attributes:
        method: HTTP method, such as GET.
        path: Path of the resource, such as /v1/jobs.
        query: Query parameters; a list stands for a parameter that is repeated.
        document: JSON text of the body, or bytes with their media type in `headers`; None without a body.
        files: Parts of a form, each with its field, its file name and its content: bytes, or the path of a file.
        headers: Further headers.
        is_repeatable: Whether the request has the same effect if the service receives it twice.
        computes: Whether the service computes before it answers, so that the answer may take long.
    """

    method: str
    path: str
    query: Mapping[str, str | Sequence[str]] | None = None
    document: str | bytes | None = None
    files: Sequence[tuple[str, str, bytes | Path]] = ()
    headers: Mapping[str, str] | None = None
    is_repeatable: bool = True
    computes: bool = False


class Connection:
    """Connections to one service, which several threads can use at the same time.

    Args:
        address: The URL of the service, and the key of the caller.
        timeouts: Longest times of the phases of a request.
        retry_seconds: Time for which a request is sent again.

    Attributes:
        address: The URL of the service, and the key of the caller.
        receive_seconds: Longest time in seconds in which the service sends no byte of an answer.
    """

    def __init__(self, address: Address, timeouts: Timeouts, retry_seconds: float) -> None:
        self.address = address
        self.receive_seconds = timeouts.receive_seconds
        self._retry_seconds = retry_seconds
        self._timeout = self._timeout_of(timeouts, timeouts.receive_seconds)
        self._computing_timeout = self._timeout_of(timeouts, timeouts.compute_seconds)
        authorization = {} if address.key is None else {"Authorization": f"Bearer {address.key}"}
        self._http = httpx.Client(
            base_url=address.url,
            headers={"User-Agent": f"bitbudget/{version()}", **authorization},
            trust_env=not address.is_here,
        )
        self._index: Index | None = None
        self._first_contact = Lock()

    def close(self) -> None:
        """Close all connections to the service."""
        self._http.close()

    def index(self) -> Index:
        """Return the name and the version of the service; the first call asks for them.

        Raises:
            NoConnection: If the service cannot be reached.
            NotBitbudget: If something else answers at the URL.
            ServiceProblem: If the service answers with an error.
        """
        with self._first_contact:
            if self._index is None:
                response = self._sent(Call(method="GET", path="/"), min(self._retry_seconds, FIRST_CONTACT_SECONDS))
                self._index = self._index_of(response)
            return self._index

    def ask(self, kind: type[Answered], call: Call) -> Answered:
        """Send a request, and return its answer.

        Args:
            kind: Class of the answer.
            call: The request.

        Raises:
            VersionMismatch: If the answer is not understood.
            ClientError: If there is no answer, or an error.
        """
        return answer_of(kind, self.send(call).content, self.index().version)

    def send(self, call: Call) -> httpx.Response:
        """Send a request, again if that is harmless and the service cannot answer, and return the successful response.

        Raises:
            ClientError: If there is no answer, or an error.
        """
        self.index()
        return self._sent(call, self._retry_seconds)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Send a GET request once, and yield its response before its content has arrived.

        Args:
            path: Path of the resource.
            headers: Headers of the request.

        Raises:
            ClientError: If there is no answer, or an error.
        """
        self.index()
        try:
            with self._http.stream("GET", path, headers=headers, timeout=self._timeout) as response:
                if not response.is_success:
                    response.read()
                    raise self._error(response)
                yield response
        except httpx.TransportError as error:
            raise self._no_connection(error) from error

    def pauses(self) -> Pauses:
        """Return the pauses between the attempts of one request."""
        return Pauses(self._retry_seconds)

    def _sent(self, call: Call, retry_seconds: float) -> httpx.Response:
        pauses = Pauses(retry_seconds)
        may_have_arrived = False
        while True:
            try:
                response = self._attempt(call)
            except httpx.TransportError as error:
                never_arrived = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                # A computation that has taken too long once would take as long again.
                is_slow = call.computes and isinstance(error, httpx.ReadTimeout)
                if is_slow or not (call.is_repeatable or never_arrived) or not pauses.wait():
                    raise self._no_connection(error) from error
                may_have_arrived = may_have_arrived or not never_arrived
                continue
            is_gone = call.method == "DELETE" and may_have_arrived and response.status_code == _GONE
            if response.is_success or is_gone:
                return response
            is_refused = response.status_code in _REFUSED
            is_lost = call.is_repeatable and response.status_code in _FROM_PROXY
            after = retry_after_seconds(response.headers.get("Retry-After"))
            if not (is_refused or is_lost) or not pauses.wait(after):
                raise self._error(response)

    def _attempt(self, call: Call) -> httpx.Response:
        with ExitStack() as opened:
            parts: list[tuple[str, Any]] = [
                (field, (name, opened.enter_context(content.open("rb")) if isinstance(content, Path) else content))
                for field, name, content in call.files
            ]
            headers = dict(call.headers or {})
            if isinstance(call.document, str):
                headers["Content-Type"] = "application/json"
            return self._http.request(
                call.method,
                call.path,
                params=call.query,
                content=call.document,
                files=parts or None,
                headers=headers,
                timeout=self._computing_timeout if call.computes else self._timeout,
            )

    def _error(self, response: httpx.Response) -> ServiceProblem | NotBitbudget:
        """Return the error that a response means; the service's own errors are problem documents."""
        status = response.status_code
        if response.is_redirect:
            target = response.headers.get("Location", "another place")
            return NotBitbudget(
                f"{self.address.url} answers with a redirection to {target[:_MAX_SHOWN]}; give the URL at which the "
                "service itself answers"
            )
        request_id = response.headers.get("X-Request-ID")
        document = _json_object(response)
        if document is None or not isinstance(document.get("detail"), str):
            text = " ".join(response.text.split())[:_MAX_SHOWN]
            phrase = response.reason_phrase or f"status {status}"
            detail = (
                f"{self.address.url} answers {status} {phrase} and no problem document, as a proxy before the service "
                f"does: {text or 'no text'}"
            )
            return ServiceProblem(Problem(type="about:blank", title=phrase, status=status, detail=detail), request_id)
        whole = {"type": "about:blank", "title": response.reason_phrase, "status": status} | document
        of = self._index.version if self._index is not None else version()
        problem = answer_of(Problem, json.dumps(whole).encode(), of)
        is_other = of != version() and status in _OF_OTHER_VERSIONS
        return ServiceProblem(problem, request_id, f" ({versions(of)})" if is_other else "")

    def _index_of(self, response: httpx.Response) -> Index:
        document = _json_object(response)
        if document is None or document.get("name") != "bitbudget" or not isinstance(document.get("version"), str):
            raise NotBitbudget(
                f"{self.address.url} answers, but not as a bitbudget service; give the URL that `bitbudget serve` "
                "prints, or that of the proxy before it"
            )
        return answer_of(Index, response.content, str(document["version"]))

    def _no_connection(self, error: httpx.TransportError) -> NoConnection:
        if isinstance(error, httpx.TimeoutException):
            what = f"{self.address.url} did not answer in time ({type(error).__name__})"
            return NoConnection(f"{what}; try again later, or give longer times in `timeouts` of the client")
        reason = " ".join(str(error).split())[:_MAX_SHOWN] or type(error).__name__
        return NoConnection(
            f"cannot reach {self.address.url}: {reason}; is the service running, and is the URL the one that it prints?"
        )

    @staticmethod
    def _timeout_of(timeouts: Timeouts, read_seconds: float) -> httpx.Timeout:
        return httpx.Timeout(
            connect=timeouts.connect_seconds, write=timeouts.send_seconds, read=read_seconds, pool=read_seconds
        )


def path_of(*parts: str) -> str:
    """Return the path of a resource of the service, such as /v1/jobs/ID, from its parts.

    Raises:
        RequestError: If a part is empty, or would change the path.
    """
    for part in parts:
        if part in {"", ".", ".."}:
            raise RequestError(f"{part!r} cannot be the identifier or the name of anything; expected that of an answer")
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _json_object(response: httpx.Response) -> dict[str, Any] | None:
    try:
        document = response.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
