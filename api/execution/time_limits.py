"""Time limits of questions that are answered at once, and the jobs that answer longer ones."""

from __future__ import annotations

from typing import Final, TypeVar

from api.errors import SolvingLimit
from api.execution.task_requests import QuestionKind
from api.schemas.solve import SolveRequest
from solver.options import Method

_SHARE_OF_SOLVE: Final = 0.75
"""Largest share of the time of a request that the time limit of its question may have."""

_Request = TypeVar("_Request", bound=SolveRequest)


def longest_limit(request_seconds: float) -> float:
    """Return the largest time limit of a question, in seconds.

    Args:
        request_seconds: Time in seconds in which the service answers each request.
    """
    return _SHARE_OF_SOLVE * request_seconds


def limited_question(
    kind: QuestionKind, network_id: str, request: _Request, request_seconds: float
) -> _Request:  # fmt: skip
    """Return a question whose time limit leaves time to answer.

    Args:
        kind: Kind of the question.
        network_id: Identifier of the network.
        request: The question.
        request_seconds: Time in seconds in which the service answers each request.

    Raises:
        SolvingLimit: If the caller gave a larger limit.
    """
    asked, longest = request.time_limit_seconds, longest_limit(request_seconds)
    if asked <= longest:
        return request
    is_of_job = kind in {"job", "check"}  # the worker of the job answers with the whole limit
    if not is_of_job and "time_limit_seconds" in request.model_fields_set and request.method is Method.EXACT:
        raise SolvingLimit(
            f"time_limit_seconds is {asked:g}; expected at most {longest:g}, because the service answers each "
            f"request within {request_seconds:g} s: give a smaller time limit, or let the operator of the service "
            f"raise BITBUDGET_REQUEST_SECONDS{_as_job(kind, network_id)}"
        )
    return request.model_copy(update={"time_limit_seconds": longest})


def _as_job(kind: QuestionKind, network_id: str) -> str:
    """Return the end of a sentence about a question that takes too long: how it is asked as a job, if it can be."""
    if kind not in {"fit", "pareto"}:
        return ""
    return (
        f'; or ask it as a job, which may take a day: POST /v1/jobs with the same body and "kind": "{kind}", '
        f'"network_id": "{network_id}"'
    )
