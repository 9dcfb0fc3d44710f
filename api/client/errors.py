"""Errors of the client of the service."""

from __future__ import annotations

from collections.abc import Callable

from api.schemas.fit import CertificateAnswer
from api.schemas.problems import Fault, Problem
from network.errors import BitbudgetError


class ClientError(BitbudgetError):
    """Base class of the errors that the client of the service raises, apart from errors in its arguments."""


class NoConnection(ClientError):
    """Error: the service cannot be reached, or does not answer in time."""


class NotBitbudget(ClientError):
    """Error: something answers at the URL, and it is not a bitbudget service."""


class VersionMismatch(ClientError):
    """Error: the answer of a service of another version lacks a field, or has a value that is not known."""


class DamagedDownload(ClientError):
    """Error: a downloaded file does not have the SHA-256 that the service states."""


class StillRunning(ClientError):
    """Error: the job has not ended within the given time; it continues."""


class ServiceProblem(ClientError):
    """Error that the service answers: the problem details of RFC 9457, with the identifier of the request.

    Args:
        problem: The problem document of the answer.
        request_id: Identifier of the request, which the log of the service has, too; None if the answer has none.
        note: Further sentence for the message; empty without one.

    Attributes:
        problem: The problem document of the answer.
        request_id: Identifier of the request; None if the answer has none.
    """

    def __init__(self, problem: Problem, request_id: str | None = None, note: str = "") -> None:
        self.problem = problem
        self.request_id = request_id
        self._note = note
        name = f" (request {request_id})" if request_id is not None and problem.status >= 500 else ""
        super().__init__(f"{problem.detail}{note}{name}")

    @property
    def type(self) -> str:
        """Type of the problem, such as "/problems/not-found"; docs/api.md lists all."""
        return self.problem.type

    @property
    def status(self) -> int:
        """HTTP status of the answer."""
        return self.problem.status

    @property
    def detail(self) -> str:
        """What was expected, what came, and what to do."""
        return self.problem.detail

    @property
    def faults(self) -> list[Fault]:
        """Invalid fields of the request; empty for other problems."""
        return self.problem.errors or []

    @property
    def certificate(self) -> CertificateAnswer | None:
        """Certificate that nothing fits, if the type is "/problems/does-not-fit"; None for other problems."""
        return self.problem.certificate

    def __reduce__(self) -> tuple[Callable[..., ServiceProblem], tuple[Problem, str | None, str]]:
        """Let this error keep its problem when it is pickled; by default, only its text would be kept."""
        return type(self), (self.problem, self.request_id, self._note)


class JobFailed(ClientError):
    """Error: the job has failed.

    Args:
        job_id: Identifier of the job.
        problem: Problem because of which the job failed.

    Attributes:
        job_id: Identifier of the job.
        problem: Problem because of which the job failed, with `type` and `detail`.
    """

    def __init__(self, job_id: str, problem: Problem) -> None:
        self.job_id = job_id
        self.problem = problem
        super().__init__(problem.detail)

    def __reduce__(self) -> tuple[type[JobFailed], tuple[str, Problem]]:
        """Let this error keep its problem when it is pickled; by default, only its text would be kept."""
        return type(self), (self.job_id, self.problem)


class JobCancelled(ClientError):
    """Error: the job was cancelled."""
