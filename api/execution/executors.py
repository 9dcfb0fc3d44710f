"""Executors by the names that the setting `executor` accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from api.execution.executor import Executor
from api.execution.subprocess_executor import SubprocessExecutor
from api.settings import ExecutorName, Settings

EXECUTORS: Final[dict[ExecutorName, Callable[[Settings], Executor]]] = {
    "subprocess": SubprocessExecutor,
}


def make_executor(settings: Settings) -> Executor:
    """Return a new executor of the kind that the settings name."""
    return EXECUTORS[settings.executor](settings)
