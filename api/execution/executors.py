"""The available executors of jobs, by the name that the setting `executor` accepts."""

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
    """Return a new executor of jobs, of the type that the service's settings name."""
    return EXECUTORS[settings.executor](settings)
