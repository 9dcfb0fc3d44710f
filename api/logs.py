"""Logs of the service and of the workers of its jobs: lines of text or of JSON, with the identifier of the request.

text    2026-11-28T09:30:00.123Z INFO bitbudget.requests: POST /v1/jobs 202 in 0.041 s [a1b2c3]
json    {"time": "2026-11-28T09:30:00.123Z", "level": "INFO", "logger": "bitbudget.requests",
         "message": "POST /v1/jobs 202 in 0.041 s", "request_id": "a1b2c3", "method": "POST", ...}
"""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal

LogFormat = Literal["text", "json"]
"""Form of the lines of a log."""

REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""Identifier of the request that is being answered, or that created the job which runs; None outside of both."""

REQUEST_ID_HEADER: Final = "X-Request-ID"
"""Header of a request and of its answer with the identifier."""

_FIELDS: Final = "fields"
"""Attribute of a log record with the values that a program reads."""


def fields(**values: object) -> dict[str, Any]:
    """Return the argument `extra` of a log call, with values that stand in the JSON line under their names."""
    return {_FIELDS: values}


def log_config(form: LogFormat, level: str = "INFO") -> dict[str, Any]:
    """Return the configuration of `logging` that writes all lines to the standard error output.

    Args:
        form: Form of the lines.
        level: Lowest level of the lines of bitbudget.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": _JsonLines if form == "json" else _TextLines}},
        "handlers": {"errors": {"class": "logging.StreamHandler", "formatter": "lines", "stream": "ext://sys.stderr"}},
        "loggers": {
            "bitbudget": {"level": level, "propagate": True},
            "uvicorn": {"level": "INFO", "propagate": True},
        },
        "root": {"handlers": ["errors"], "level": "WARNING"},
    }


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _TextLines(logging.Formatter):
    """Formatter of lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a log record, with the traceback of its exception on further lines."""
        request_id = REQUEST_ID.get()
        message = record.getMessage() + ("" if request_id is None else f" [{request_id}]")
        line = f"{_time_of(record)} {record.levelname} {record.name}: {message}"
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"


class _JsonLines(logging.Formatter):
    """Formatter of lines for programs: one JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON object of a log record on one line."""
        document: dict[str, Any] = {
            "time": _time_of(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": REQUEST_ID.get(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info is not None:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in document.items() if value is not None}, default=str)
