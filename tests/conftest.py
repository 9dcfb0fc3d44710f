"""For all tests."""

from __future__ import annotations

import os
import signal


def pytest_configure() -> None:
    """Remove what a developer's environment would change.

    A shell without job control lets what it runs in the background ignore interrupts, and its children too.
    """
    os.environ.pop("BITBUDGET_SERVER", None)  # a developer's own service must not do the work of the commands
    os.environ["BITBUDGET_JOB_NICE"] = "0"  # the tests of both processors would otherwise starve the jobs they wait for
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
