"""Work on several independent inputs, one after the other or at the same time in several places.

A measurement or a search that has independent parts is given a `FanOut`, and knows nothing of where the parts are
computed. The results are the same as those of one process. This module does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

from qat.progress import Progress, Report

Shared = TypeVar("Shared")
Input = TypeVar("Input")
Output = TypeVar("Output")

ReportOfPart = Callable[[int, Progress], None]
"""Callback that receives the number of a part, from 0, and the progress of this part."""


def of_first_part(report: Report) -> ReportOfPart:
    """Return a callback that passes on the progress of the first part alone, which stands for that of all."""

    def report_part(number: int, progress: Progress) -> None:
        if number == 0:
            report(progress)

    return report_part


class FanOut(Protocol):
    """Places that compute parts of a job."""

    @property
    def width(self) -> int:
        """Number of parts that are worth computing at the same time; 1 if there is only this process."""

    def map(
        self,
        function: Callable[[Shared, Input, Report], Output],
        shared: Shared,
        inputs: Sequence[Input],
        report: ReportOfPart,
    ) -> Iterator[tuple[int, Output]]:
        """Compute a function for each input, and yield each result when it is ready, after the number of its input.

        Args:
            function: Function of a module, which receives what all parts share, the input and a callback for progress.
                It may run in another process, so that arguments and result must be picklable.
            shared: What all parts share.
            inputs: Input of each part.
            report: Callback that receives the progress of the parts, in this process.

        Raises:
            BitbudgetError: If the function raises it for an input.
        """


class InOrder:
    """A place that computes one part after the other: this process."""

    @property
    def width(self) -> int:
        """Number of parts that are worth computing at the same time: 1."""
        return 1

    def map(
        self,
        function: Callable[[Shared, Input, Report], Output],
        shared: Shared,
        inputs: Sequence[Input],
        report: ReportOfPart,
    ) -> Iterator[tuple[int, Output]]:
        """Compute a function for one input after the other, and yield their numbers and results."""

        def told(number: int) -> Report:
            return lambda progress: report(number, progress)

        for number, each in enumerate(inputs):
            yield number, function(shared, each, told(number))


IN_ORDER: Final[FanOut] = InOrder()
