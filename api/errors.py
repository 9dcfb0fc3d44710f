"""HTTP problem types (RFC 9457) for every error that the service can answer, in one table.

    type                               status
    /problems/unreadable-file          422     the file is not a complete network
    /problems/unsupported-operator     422     the network has an operator that is not supported
    ...                                        `KINDS` has all of them; GET /problems lists them

HTTP statuses are defined only here. The other packages raise the errors of `network.errors`.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from api.schemas.fit import FitAnswer
from api.schemas.problems import Problem
from network import errors

MEDIA_TYPE: Final = "application/problem+json"
_CHALLENGE: Final = 'Bearer realm="bitbudget"'


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """HTTP problem type (RFC 9457): the kind of error that a response reports.

    Attributes:
        slug: Last part of the URI reference of the kind, such as "not-found".
        status: HTTP status of a response with such a problem.
        title: Short name of the kind.
    """

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """URI reference of an HTTP problem type, such as "/problems/not-found"."""
        return f"/problems/{self.slug}"

    def problem(self, detail: str) -> Problem:
        """Return an HTTP problem document of this problem type (RFC 9457).

        Args:
            detail: Text for the caller: what was expected, what was received, and what to do.
        """
        return Problem(type=self.type, title=self.title, status=self.status, detail=detail)


UNREADABLE_FILE: Final = ProblemKind("unreadable-file", 422, "The upload is not a complete network")
UNSUPPORTED_OPERATOR: Final = ProblemKind(
    "unsupported-operator", 422, "The network uses an operator that is not supported"
)
INVALID_NETWORK: Final = ProblemKind("invalid-network", 422, "The network is inconsistent")
INVALID_REQUEST: Final = ProblemKind("invalid-request", 422, "The request is invalid")
INVALID_DATASET: Final = ProblemKind("invalid-dataset", 422, "The dataset cannot be read or does not fit the network")
DOES_NOT_FIT: Final = ProblemKind("does-not-fit", 422, "The network does not fit the budget")
NO_INTEGER_FORM: Final = ProblemKind(
    "no-integer-form", 422, "The network cannot be converted to integer arithmetic safely"
)
BUILD_FAILED: Final = ProblemKind("build-failed", 422, "The generated C cannot be built or run")
TRAINING_FAILED: Final = ProblemKind("training-failed", 422, "The training run cannot continue")
MALFORMED_REQUEST: Final = ProblemKind("malformed-request", 400, "The request cannot be parsed")
NOT_FOUND: Final = ProblemKind("not-found", 404, "The resource does not exist")
METHOD_NOT_ALLOWED: Final = ProblemKind("method-not-allowed", 405, "The resource does not support this method")
JOB_FINISHED: Final = ProblemKind("job-finished", 409, "The job has finished already")
JOB_NOT_FINISHED: Final = ProblemKind("job-not-finished", 409, "The job has not finished yet")
KEY_REUSED: Final = ProblemKind("idempotency-key-reused", 409, "The idempotency key was used for another request")
READING_LIMIT: Final = ProblemKind("reading-limit", 422, "Reading the upload needs too much time or memory")
SOLVING_LIMIT: Final = ProblemKind("solving-limit", 422, "Answering the question needs too much time or memory")
JOB_LIMIT: Final = ProblemKind("job-limit", 422, "The job needs too much time or memory")
IN_USE: Final = ProblemKind("in-use", 409, "The resource is in use and cannot be deleted")
LIMIT_REACHED: Final = ProblemKind("limit-reached", 409, "The project has as many of these as it may have")
WEBHOOK_DISABLED: Final = ProblemKind("webhook-disabled", 409, "The webhook is disabled")
TOO_LARGE: Final = ProblemKind("too-large", 413, "The upload is too large")
UPLOAD_CONFLICT: Final = ProblemKind("upload-conflict", 409, "The upload continues at another byte")
UNSUPPORTED_VERSION: Final = ProblemKind("unsupported-version", 412, "The version of the protocol is not supported")
UNSUPPORTED_MEDIA_TYPE: Final = ProblemKind("unsupported-media-type", 415, "The media type is not supported")
CHECKSUM_MISMATCH: Final = ProblemKind("checksum-mismatch", 460, "The bytes have another checksum")
RANGE_NOT_SATISFIABLE: Final = ProblemKind("range-not-satisfiable", 416, "The file has no such part")
QUOTA_EXCEEDED: Final = ProblemKind("quota-exceeded", 413, "The project has used the bytes that it may have")
QUEUE_LIMIT: Final = ProblemKind("queue-limit", 429, "As many jobs of the project wait as may wait")
BUSY: Final = ProblemKind("busy", 429, "The service has too many requests at the moment")
WORKER_LOST: Final = ProblemKind("worker-lost", 500, "The worker of the job ended unexpectedly")
UNAUTHORIZED: Final = ProblemKind("unauthorized", 401, "The request has no valid key")
FORBIDDEN: Final = ProblemKind("forbidden", 403, "The key does not allow this operation")
RATE_LIMITED: Final = ProblemKind("rate-limited", 429, "The caller sends too many requests")
REQUEST_TIMEOUT: Final = ProblemKind("request-timeout", 408, "The request did not arrive in time")
CROSS_ORIGIN: Final = ProblemKind("cross-origin", 403, "A page of another website has sent the request")
WRONG_HOST: Final = ProblemKind("wrong-host", 421, "The service does not answer under this host name")
INTERNAL_ERROR: Final = ProblemKind("internal-error", 500, "The service failed because of an internal error")
UNAVAILABLE: Final = ProblemKind("unavailable", 503, "The service cannot answer at the moment")
STORAGE_FULL: Final = ProblemKind("storage-full", 507, "The service's disk is full")

KINDS: Final = (
    UNREADABLE_FILE, READING_LIMIT, UNSUPPORTED_OPERATOR, INVALID_NETWORK, INVALID_REQUEST, INVALID_DATASET,
    JOB_LIMIT,
    SOLVING_LIMIT, DOES_NOT_FIT, NO_INTEGER_FORM, BUILD_FAILED, TRAINING_FAILED, MALFORMED_REQUEST, UNAUTHORIZED,
    FORBIDDEN, CROSS_ORIGIN, NOT_FOUND, METHOD_NOT_ALLOWED, REQUEST_TIMEOUT, JOB_FINISHED, JOB_NOT_FINISHED, KEY_REUSED,
    IN_USE, UPLOAD_CONFLICT, UNSUPPORTED_VERSION, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, RANGE_NOT_SATISFIABLE, WRONG_HOST,
    BUSY, QUOTA_EXCEEDED, QUEUE_LIMIT, LIMIT_REACHED, WEBHOOK_DISABLED, RATE_LIMITED, CHECKSUM_MISMATCH, WORKER_LOST,
    INTERNAL_ERROR, UNAVAILABLE, STORAGE_FULL,
)  # fmt: skip


class ServiceError(errors.BitbudgetError):
    """Base class of the errors that only the HTTP service raises.

    Attributes:
        kind: Kind of problem that a response reports for this class of errors.
        headers: Headers that the response has in addition.
        members: Members that the problem has in addition.
    """

    kind: ClassVar[ProblemKind]
    headers: Mapping[str, str] = MappingProxyType({})
    members: Mapping[str, int] = MappingProxyType({})


class NotFound(ServiceError):
    """Error: the network, dataset, job or artifact does not exist."""

    kind = NOT_FOUND


class JobFinished(ServiceError):
    """Error: the job has finished, so that it cannot be cancelled."""

    kind = JOB_FINISHED


class JobNotFinished(ServiceError):
    """Error: the job has not finished, so that it has no artifacts and cannot be deleted."""

    kind = JOB_NOT_FINISHED


class KeyReused(ServiceError):
    """Error: the same idempotency key was sent with two different HTTP requests."""

    kind = KEY_REUSED


class InUse(ServiceError):
    """Error: the network or dataset cannot be deleted, or the delivery be repeated, because it is in use."""

    kind = IN_USE


class TooLarge(ServiceError):
    """Error: the uploaded file is larger than the limit."""

    kind = TOO_LARGE


class ReadingLimit(ServiceError):
    """Error: reading an uploaded file needs more time or memory than the service allows."""

    kind = READING_LIMIT


class SolvingLimit(ServiceError):
    """Error: answering a question needs more time or memory than the service allows."""

    kind = SOLVING_LIMIT


class Busy(ServiceError):
    """Error: too many requests wait for their turn.

    Args:
        message: Text for the caller.
        retry_after_seconds: Time in whole seconds after which the caller may try again.
    """

    kind = BUSY

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(retry_after_seconds)}


class RateLimited(Busy):
    """Error: a caller sends more requests than the service allows to each of them."""

    kind = RATE_LIMITED


class Unauthorized(ServiceError):
    """Error: a request has no key, or one that is not valid.

    Args:
        message: Text for the caller.
        has_token: Whether the request has a key or a token.
    """

    kind = UNAUTHORIZED

    def __init__(self, message: str, *, has_token: bool) -> None:
        super().__init__(message)
        self.headers = {"WWW-Authenticate": _CHALLENGE + (', error="invalid_token"' if has_token else "")}


class Forbidden(ServiceError):
    """Error: the key of a request does not have the scope that the operation needs.

    Args:
        message: Text for the caller.
        scope: Scope that the operation needs.
    """

    kind = FORBIDDEN

    def __init__(self, message: str, scope: str) -> None:
        super().__init__(message)
        self.headers = {"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'}


class InternalFault(ServiceError):
    """Error: a process of the service failed because of a fault of bitbudget."""

    kind = INTERNAL_ERROR


class Unavailable(ServiceError):
    """Error: the service cannot answer at the moment."""

    kind = UNAVAILABLE


class ProcessesLost(Unavailable):
    """Error: the processes that compute for requests were killed, which says nothing about the request."""

    headers = MappingProxyType({"Retry-After": "1"})


class DoesNotFit(ServiceError):
    """Error: the network of a new job does not fit the memory budget, whatever bits are chosen.

    Args:
        answer: The answer of the fit, with the certificate.
    """

    kind = DOES_NOT_FIT

    def __init__(self, answer: FitAnswer) -> None:
        self.answer = answer
        super().__init__("" if answer.certificate is None else answer.certificate.sentence)

    def __reduce__(self) -> tuple[type[DoesNotFit], tuple[FitAnswer]]:
        """Let this error keep its certificate when it is pickled; by default, only its text would be kept."""
        return type(self), (self.answer,)


_KIND_OF_ERROR: Final[dict[type[Exception], ProblemKind]] = {
    errors.UnreadableFile: UNREADABLE_FILE,
    errors.IntegerFileError: UNREADABLE_FILE,
    errors.UnsupportedOperator: UNSUPPORTED_OPERATOR,
    errors.NetworkError: INVALID_NETWORK,
    errors.RequestError: INVALID_REQUEST,
    errors.DatasetError: INVALID_DATASET,
    errors.ConversionError: NO_INTEGER_FORM,
    errors.BuildError: BUILD_FAILED,
    errors.TrainingError: TRAINING_FAILED,
}

_KIND_OF_STATUS: Final = {kind.status: kind for kind in (MALFORMED_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE)}


def problem_of(error: errors.BitbudgetError) -> Problem:
    """Return the HTTP problem document (RFC 9457) for an error in a caller's input."""
    if isinstance(error, DoesNotFit):
        return error.kind.problem(str(error)).model_copy(update={"certificate": error.answer.certificate})
    if isinstance(error, ServiceError):
        return error.kind.problem(str(error)).model_copy(update=error.members)
    kind = next((_KIND_OF_ERROR[each] for each in type(error).__mro__ if each in _KIND_OF_ERROR), INVALID_REQUEST)
    return kind.problem(str(error))


def problem_of_status(status: int, detail: str) -> Problem:
    """Return the HTTP problem document (RFC 9457) for an HTTP status that the web framework chose.

    Args:
        status: HTTP status.
        detail: Text for the caller.
    """
    kind = _KIND_OF_STATUS.get(status, INTERNAL_ERROR if status >= 500 else MALFORMED_REQUEST)
    return kind.problem(detail).model_copy(update={"status": status})


def problem_of_system(error: OSError) -> Problem:
    """Return the HTTP problem document (RFC 9457) for an operating-system error, such as a full disk."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return STORAGE_FULL.problem("the disk of the service is full; nothing was stored")
    return INTERNAL_ERROR.problem("the service could not use its disk; the log of the service has the details")
