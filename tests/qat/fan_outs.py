"""Places for tests that compute parts of a job: all arguments and results are pickled, as on their way to a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cloudpickle  # type: ignore[import-untyped]  # ships no types

from qat.fan_out import ReportOfPart
from qat.progress import Progress


class Pickled:
    """Several places, which compute the last part first, and have nothing in common with this process."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.widths: list[int] = []
        """Number of parts of each call."""

    def map(
        self, function: Callable[..., Any], shared: Any, inputs: Sequence[Any], report: ReportOfPart
    ) -> Iterator[tuple[int, Any]]:
        self.widths.append(len(inputs))
        arrived = cloudpickle.dumps(shared)
        for number, each in reversed(list(enumerate(inputs))):
            told: list[Progress] = []
            sent = cloudpickle.loads(cloudpickle.dumps(each))  # our own bytes
            result = function(cloudpickle.loads(arrived), sent, told.append)
            for progress in told:
                report(number, progress)
            yield number, cloudpickle.loads(cloudpickle.dumps(result))
