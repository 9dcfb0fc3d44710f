"""Moments of database records as answers of the service have them."""

from __future__ import annotations

from datetime import UTC, datetime


def moment_of(seconds: float | None) -> datetime | None:
    """Return a moment in UTC.

    Args:
        seconds: Unix time in seconds; None for a moment that has not come.
    """
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
