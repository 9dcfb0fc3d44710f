"""Problem details (RFC 9457): every error that the service answers, in one table.

    type                               status
    /problems/unreadable-file          422     the network file is no network
    /problems/unsupported-operator     422     an operator that is not read
    ...                                        `KINDS` has them all; GET /problems lists them

HTTP statuses live here alone; the rooms below raise the tree of `network.errors`.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pydantic import BaseModel, Field

from api.schemas.fit import CertificateAnswer, FitAnswer
from network import errors

MEDIA_TYPE: Final = "application/problem+json"


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="the field, as a dotted path", examples=["body.flash"])
    message: str = Field(description="what was expected")


class Problem(BaseModel):
    """Problem details for HTTP APIs (RFC 9457)."""

    type: str = Field(description="which kind of problem, a URI reference", examples=["/problems/invalid-request"])
    title: str = Field(description="the kind in a few words, always the same for one type")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="what was expected, what came, and what to do")
    errors: list[Fault] | None = Field(default=None, description="invalid-request: what is wrong, field by field")
    certificate: CertificateAnswer | None = Field(default=None, description="does-not-fit: why nothing fits")

    def document(self) -> dict[str, Any]:
        """What is sent: members without a value are left out."""
        return self.model_dump(mode="json", exclude_none=True)


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A type of problem."""

    slug: str
    status: int
    title: str

    @property
    def type(self) -> str:
        return f"/problems/{self.slug}"

    def problem(self, detail: str) -> Problem:
        return Problem(type=self.type, title=self.title, status=self.status, detail=detail)


UNREADABLE_FILE: Final = ProblemKind("unreadable-file", 422, "The file is not a whole, self-contained network")
UNSUPPORTED_OPERATOR: Final = ProblemKind("unsupported-operator", 422, "The network uses an operator that is not read")
INVALID_NETWORK: Final = ProblemKind("invalid-network", 422, "The network contradicts itself")
INVALID_REQUEST: Final = ProblemKind("invalid-request", 422, "The request makes no sense")
INVALID_DATASET: Final = ProblemKind("invalid-dataset", 422, "The dataset cannot be read or does not fit the network")
DOES_NOT_FIT: Final = ProblemKind("does-not-fit", 422, "The network does not fit the budget")
NO_INTEGER_FORM: Final = ProblemKind("no-integer-form", 422, "The network has no safe integer form")
TRAINING_FAILED: Final = ProblemKind("training-failed", 422, "The training run cannot go on")
MALFORMED_REQUEST: Final = ProblemKind("malformed-request", 400, "The request cannot be parsed")
NOT_FOUND: Final = ProblemKind("not-found", 404, "There is no such thing")
METHOD_NOT_ALLOWED: Final = ProblemKind("method-not-allowed", 405, "The resource does not know this method")
JOB_FINISHED: Final = ProblemKind("job-finished", 409, "The job has finished already")
JOB_NOT_FINISHED: Final = ProblemKind("job-not-finished", 409, "The job has not finished yet")
KEY_REUSED: Final = ProblemKind("idempotency-key-reused", 409, "The idempotency key belongs to another request")
IN_USE: Final = ProblemKind("in-use", 409, "An unfinished job needs it")
TOO_LARGE: Final = ProblemKind("too-large", 413, "The upload is too large")
WORKER_LOST: Final = ProblemKind("worker-lost", 500, "The worker of the job ended unexpectedly")
INTERNAL_ERROR: Final = ProblemKind("internal-error", 500, "The service failed")
UNAVAILABLE: Final = ProblemKind("unavailable", 503, "The service cannot work at the moment")
STORAGE_FULL: Final = ProblemKind("storage-full", 507, "The service's disk is full")

KINDS: Final = (
    UNREADABLE_FILE, UNSUPPORTED_OPERATOR, INVALID_NETWORK, INVALID_REQUEST, INVALID_DATASET, DOES_NOT_FIT,
    NO_INTEGER_FORM, TRAINING_FAILED, MALFORMED_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, JOB_FINISHED,
    JOB_NOT_FINISHED, KEY_REUSED, IN_USE, TOO_LARGE, WORKER_LOST, INTERNAL_ERROR, UNAVAILABLE, STORAGE_FULL,
)  # fmt: skip


class ServiceError(errors.BitbudgetError):
    """What only a service can answer; each class owns its kind."""

    kind: ClassVar[ProblemKind]


class NotFound(ServiceError):
    """No such network, dataset, job or artifact."""

    kind = NOT_FOUND


class JobFinished(ServiceError):
    """A finished job cannot be cancelled."""

    kind = JOB_FINISHED


class JobNotFinished(ServiceError):
    """An unfinished job has no artifacts, and cannot be deleted."""

    kind = JOB_NOT_FINISHED


class KeyReused(ServiceError):
    """An idempotency key came with two different requests."""

    kind = KEY_REUSED


class InUse(ServiceError):
    """A network or dataset that an unfinished job needs."""

    kind = IN_USE


class TooLarge(ServiceError):
    """A file above the limit."""

    kind = TOO_LARGE


class Unavailable(ServiceError):
    """The service cannot do its work at the moment."""

    kind = UNAVAILABLE


class DoesNotFit(ServiceError):
    """A job was asked for under a budget that nothing fits."""

    kind = DOES_NOT_FIT

    def __init__(self, answer: FitAnswer) -> None:
        self.answer = answer
        super().__init__("" if answer.certificate is None else answer.certificate.sentence)


_KIND_OF_ERROR: Final[dict[type[Exception], ProblemKind]] = {
    errors.UnreadableFile: UNREADABLE_FILE,
    errors.IntegerFileError: UNREADABLE_FILE,
    errors.UnsupportedOperator: UNSUPPORTED_OPERATOR,
    errors.NetworkError: INVALID_NETWORK,
    errors.RequestError: INVALID_REQUEST,
    errors.DatasetError: INVALID_DATASET,
    errors.ConversionError: NO_INTEGER_FORM,
    errors.TrainingError: TRAINING_FAILED,
}

_KIND_OF_STATUS: Final = {kind.status: kind for kind in (MALFORMED_REQUEST, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE)}


def problem_of(error: errors.BitbudgetError) -> Problem:
    """The problem that an error of the caller's is."""
    if isinstance(error, DoesNotFit):
        return error.kind.problem(str(error)).model_copy(update={"certificate": error.answer.certificate})
    if isinstance(error, ServiceError):
        return error.kind.problem(str(error))
    kind = next((_KIND_OF_ERROR[each] for each in type(error).__mro__ if each in _KIND_OF_ERROR), INVALID_REQUEST)
    return kind.problem(str(error))


def problem_of_status(status: int, detail: str) -> Problem:
    """The problem behind an HTTP status that the framework answered with."""
    kind = _KIND_OF_STATUS.get(status, INTERNAL_ERROR if status >= 500 else MALFORMED_REQUEST)
    return kind.problem(detail).model_copy(update={"status": status})


def problem_of_system(error: OSError) -> Problem:
    """The problem behind a failing disk."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return STORAGE_FULL.problem("the service has no room left on its disk; nothing was kept")
    return INTERNAL_ERROR.problem("the service could not use its disk; its log says more")
