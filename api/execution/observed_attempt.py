"""Log and trace of an attempt to run a job, in the process of its worker.

The lines of the log have the form that the service was told, and the identifier of the request that created the job.
The span of the attempt belongs to the trace of this request, whichever service has started the worker.
"""

from __future__ import annotations

import logging
import logging.config
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from api.execution.tracing import Tracing
from api.logs import REQUEST_ID, fields, log_config
from api.settings import Settings
from api.storage.database import Store
from api.storage.records import TRACEPARENT, Job

LOG: Final = logging.getLogger("bitbudget.worker")


@contextmanager
def observed_attempt(store: Store, settings: Settings, job: Job) -> Iterator[None]:
    """Log the beginning and the end of an attempt, and make a span of it.

    Args:
        store: Database with the job.
        settings: Settings of the worker.
        job: The job, with the number of the attempt.
    """
    REQUEST_ID.set(job.request_id)
    logging.config.dictConfig(log_config(settings.log_format))
    kind = str(job.request.get("kind", "training"))
    known = fields(job=job.id, attempt=job.attempt, kind=kind)
    tracing = Tracing.to(settings.otlp_endpoint)
    parent = None if tracing.provider is None else _traceparent(store, job)
    began = time.monotonic()
    LOG.info("attempt %d of job %s begins: %s", job.attempt, job.id, kind, extra=known)
    try:
        with tracing.span("job attempt", parent=parent, job=job.id, attempt=job.attempt, kind=kind):
            yield
    finally:
        LOG.info("attempt %d of job %s ends after %.3f s", job.attempt, job.id, time.monotonic() - began, extra=known)
        tracing.close()


def _traceparent(store: Store, job: Job) -> str | None:
    """Return the span of the request that created a job, which the first event of the job has; None if it has none."""
    first = store.events(job.id, limit=1)
    value = first[0].data.get(TRACEPARENT) if first else None
    return value if isinstance(value, str) else None
