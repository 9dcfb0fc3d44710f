"""How long a client waits: the time limits of a request, and the pauses before it is sent again."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """Longest times of the phases of a request, in seconds.

    Attributes:
        connect_seconds: Time to open a connection.
        send_seconds: Time in which the service accepts no further byte of a request.
        receive_seconds: Time in which the service sends no further byte of an answer.
        compute_seconds: The same while the service computes: for uploads, questions and new jobs.
    """

    connect_seconds: float = 10.0
    send_seconds: float = 60.0
    receive_seconds: float = 60.0
    compute_seconds: float = 900.0


class Pauses:
    """Pauses between the attempts of one request, which double and are drawn at random, until the time is up.

    Args:
        seconds: Time after which the request is not sent again.
    """

    def __init__(self, seconds: float) -> None:
        self._give_up_at = time.monotonic() + seconds
        self._pause = FIRST_PAUSE_SECONDS

    def wait(self, retry_after_seconds: float | None = None) -> bool:
        """Wait before the next attempt, and return whether there is one.

        Args:
            retry_after_seconds: Time after which the service wants the next attempt; None if it says none.
        """
        # At random, so that clients which were refused at the same time do not come back at the same time.
        pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311  # not a secret
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        pause = max(pause, retry_after_seconds or 0.0)
        if time.monotonic() + pause > self._give_up_at:
            return False
        time.sleep(pause)
        return True


def retry_after_seconds(header: str | None) -> float | None:
    """Return the time that the header Retry-After states, as seconds or as a date; None if it states none.

    Args:
        header: Value of the header; None if the answer does not have it.
    """
    if header is None:
        return None
    try:
        return max(float(header), 0.0) if header.strip().isdigit() else _seconds_until(parsedate_to_datetime(header))
    except ValueError:
        return None


def _seconds_until(moment: datetime) -> float:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max((aware - datetime.now(UTC)).total_seconds(), 0.0)
