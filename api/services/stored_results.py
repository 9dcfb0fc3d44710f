"""Results of jobs as earlier versions of bitbudget stored them, in the form in which this version answers them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Discriminator, TypeAdapter, ValidationError

from api.schemas.job_answers import JobReport

_REPORTS: Final[TypeAdapter[JobReport]] = TypeAdapter(Annotated[JobReport, Discriminator("kind")])
_ADDED: Final[dict[str, dict[str, Any]]] = {"training": {"host_steps": []}}
"""Fields that a later version added to each kind of report, with what they were before: nothing."""


def present_result(stored: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the result of a job of an earlier version in the present form.

    Args:
        stored: The result as it is stored; None if there is none.

    Returns:
        None if the result lacks something that was not computed then. The artifacts of the job have the whole report.
    """
    if stored is None:
        return None
    kind = stored.get("kind", "training")  # the first version had training jobs alone
    completed = {"kind": kind} | _ADDED.get(kind, {}) | stored
    try:
        _REPORTS.validate_python(completed)
    except ValidationError:
        return None
    return completed
