"""Progress of a command on standard error: a progress bar on a terminal, otherwise lines for a log.

In a log, such as that of a build, a line is printed when a stage begins and every half minute while it runs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from qat.options.task import TERMS
from qat.progress import Progress, Report, silent

REDRAW_SECONDS: Final = 0.1
"""Smallest time in seconds between two drawings of the bar."""

LINE_SECONDS: Final = 30.0
"""Smallest time in seconds between two lines of a log about the same stage."""

_BAR_CELLS: Final = 20


@contextmanager
def progress_line(*, is_wanted: bool) -> Iterator[Report]:
    """Yield a callback that shows progress on standard error, or one that ignores it if progress is not wanted.

    Args:
        is_wanted: Whether to show progress.
    """
    if not is_wanted:
        yield silent
    elif sys.stderr.isatty():
        with _progress_bar() as report:
            yield report
    else:
        yield LinesOfLog()


def progress_text(progress: Progress) -> str:
    """Return progress as text, such as 'training  epoch 2 of 3  validation accuracy 97.10 % of 143 samples'."""
    parts = [progress.phase]
    if progress.point is not None:
        parts.insert(0, f"point {progress.point} of about {progress.points}")
    if progress.epoch is not None and progress.epochs:
        parts.append(f"epoch {progress.epoch} of {progress.epochs}")
    if progress.step is not None and progress.steps:
        parts.append(f"step {progress.step} of {progress.steps}")
    if progress.images_per_second is not None:
        parts.append(f"{progress.images_per_second:,.0f} images/s")
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.validation_metric is not None:
        terms = TERMS[progress.validation_metric]
        of = "" if progress.validation_samples is None else f" of {progress.validation_samples:,} samples"
        own = "" if progress.validation_float is None else f" (float {terms.text(progress.validation_float)})"
        parts.append(f"validation {terms.words} {terms.text(progress.validation_quality)}{own}{of}")
    if progress.seconds_left is not None:
        parts.append(f"{progress.seconds_left:.0f} s left")
    return "  ".join(parts)


def notes_shown(report: Report) -> Report:
    """Return a callback that prints the recipe and each warning of a progress once to standard error, and passes the
    progress on.

    Args:
        report: Callback that shows progress; if it is silent, nothing is printed.
    """
    if report is silent:
        return report
    printed = told = 0

    def show(progress: Progress) -> None:
        nonlocal printed, told
        for choice in progress.recipe[told:]:
            print(f"recipe: {choice}", file=sys.stderr, flush=True)
        told = max(told, len(progress.recipe))
        for warning in progress.warnings[printed:]:
            print(f"warning: {warning}", file=sys.stderr, flush=True)
        printed = max(printed, len(progress.warnings))
        report(progress)

    return show


@contextmanager
def _progress_bar() -> Iterator[Report]:
    """Yield a callback that draws a progress bar on standard error; the bar is erased at the end."""
    # Only a terminal needs these modules, whose import takes as long as a small fit.
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = BarColumn(bar_width=_BAR_CELLS), TextColumn("{task.description}", markup=False)
    # Without a thread that redraws the bar: processes that read samples are forked meanwhile.
    with Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False, auto_refresh=False) as bar:
        task = bar.add_task("", total=1)
        drawn_at = 0.0

        def report(progress: Progress) -> None:
            nonlocal drawn_at
            now = time.monotonic()
            if now - drawn_at >= REDRAW_SECONDS:
                drawn_at = now
                done, total = (progress.step, progress.steps) if progress.steps else (0, 1)
                bar.update(task, completed=done or 0, total=total, description=progress_text(progress), refresh=True)

        yield report


class LinesOfLog:
    """Callback that prints a line if the phase or the epoch changes, and then every half minute.

    Args:
        clock: Function that returns the time in seconds, from an arbitrary origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stage: tuple[str, int | None, int | None] | None = None
        self._printed_at = 0.0

    def __call__(self, progress: Progress) -> None:
        """Print the progress if a line is due."""
        stage, now = (progress.phase, progress.epoch, progress.point), self._clock()
        if stage == self._stage and now - self._printed_at < LINE_SECONDS:
            return
        self._stage, self._printed_at = stage, now
        if not progress.step:  # the stage begins: "step 0" tells nothing
            progress = replace(progress, step=None)
        print(progress_text(progress), file=sys.stderr, flush=True)
