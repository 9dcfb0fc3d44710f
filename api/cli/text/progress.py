"""Progress on the standard error: one line that is rewritten on a terminal, a line for each stage elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from api.cli.text.columns import bar
from qat.progress import Progress, Report, silent

REWRITE_SECONDS = 0.1
_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def progress_line(*, is_wanted: bool) -> Iterator[Report]:
    """A `Report` that shows progress while the context lasts; silent where it is not wanted."""
    if not is_wanted:
        yield silent
    elif sys.stderr.isatty():
        rewritten = _RewrittenLine()
        try:
            yield rewritten
        finally:
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()
    else:
        yield _LineByStage()


def progress_text(progress: Progress) -> str:
    """'training  epoch 2 of 3  step 40 of 90  1,234 images/s  validation 97.1 %  12 s left'."""
    parts = [progress.phase]
    if progress.epoch is not None and progress.epochs:
        parts.append(f"epoch {progress.epoch} of {progress.epochs}")
    if progress.step is not None and progress.steps:
        parts.append(f"step {progress.step} of {progress.steps}")
    if progress.images_per_second is not None:
        parts.append(f"{progress.images_per_second:,.0f} images/s")
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.3f}")
    if progress.validation_accuracy is not None:
        parts.append(f"validation {progress.validation_accuracy:.1f} %")
    if progress.seconds_left is not None:
        parts.append(f"{progress.seconds_left:.0f} s left")
    return "  ".join(parts)


def _progress_bar(progress: Progress) -> str:
    if progress.step is None or not progress.steps:
        return ""
    return f"{bar(progress.step, progress.steps)}  "


class _RewrittenLine:
    def __init__(self) -> None:
        self._written = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._written >= REWRITE_SECONDS:
            self._written = now
            sys.stderr.write(f"{_CLEAR_LINE}{_progress_bar(progress)}{progress_text(progress)}")
            sys.stderr.flush()


class _LineByStage:
    def __init__(self) -> None:
        self._stage: tuple[str, int | None] | None = None

    def __call__(self, progress: Progress) -> None:
        stage = (progress.phase, progress.epoch)
        if stage != self._stage:
            self._stage = stage
            print(progress_text(progress), file=sys.stderr, flush=True)
