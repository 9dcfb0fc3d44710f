"""The available executors of jobs, by the name that the setting `executor` accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from api.execution.executor import Executor
from api.execution.subprocess_executor import SubprocessExecutor
from api.job_settings import ExecutorName
from api.settings import Settings


def _ray(settings: Settings) -> Executor:
    from api.execution.ray_executor import RayExecutor

    return RayExecutor(settings)


EXECUTORS: Final[dict[ExecutorName, Callable[[Settings], Executor]]] = {
    "subprocess": SubprocessExecutor,
    "ray": _ray,
}


def make_executor(settings: Settings) -> Executor:
    """Return a new executor of jobs, of the type that the service's settings name."""
    return EXECUTORS[settings.executor](settings)
