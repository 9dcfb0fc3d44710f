"""Progress without a terminal: a line when a stage begins, and every half minute while it runs."""

from __future__ import annotations

import pytest

from api.cli.text.progress import LINE_SECONDS, LinesOfLog, notes_shown
from qat.progress import Progress, silent


def test_a_log_has_a_line_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    show = LinesOfLog(lambda: now)
    for second in range(200):  # a report each half second, as a training gives
        now = second / 2
        show(Progress("training", epoch=1, epochs=2, step=second, steps=200, seconds_left=100 - now))
    for step in (0, 1):
        show(Progress("validating", epoch=1, epochs=2, step=step, steps=2))
    for step in (0, 1):
        show(Progress("training", epoch=2, epochs=2, step=step, steps=200))
    assert capsys.readouterr().err.splitlines() == [
        "training  epoch 1 of 2  100 s left",
        "training  epoch 1 of 2  step 60 of 200  70 s left",
        "training  epoch 1 of 2  step 120 of 200  40 s left",
        "training  epoch 1 of 2  step 180 of 200  10 s left",
        "validating  epoch 1 of 2",
        "training  epoch 2 of 2",
    ]
    assert LINE_SECONDS == 30


def test_a_stage_of_many_reports_is_one_line_if_it_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    show = LinesOfLog(lambda: 7.0)
    for step in range(50):
        show(Progress("measuring sensitivity", step=step, steps=50))
    assert capsys.readouterr().err == "measuring sensitivity\n"


def test_each_warning_is_printed_once_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    passed_on: list[Progress] = []
    show = notes_shown(passed_on.append)
    reports = [Progress("training", warnings=warnings) for warnings in ((), ("few steps",), ("few steps", "chance"))]
    for progress in (*reports, reports[-1]):
        show(progress)
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "warning: few steps\nwarning: chance\n")
    assert passed_on == [*reports, reports[-1]]
    assert notes_shown(silent) is silent


def test_the_recipe_is_printed_once_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    show = notes_shown(silent_but_not_the_same)
    for _ in range(2):
        show(Progress("starting", recipe=("epochs: 30 (few samples)", "batch_size: 16 (few samples)")))
    assert capsys.readouterr().err == "recipe: epochs: 30 (few samples)\nrecipe: batch_size: 16 (few samples)\n"


def silent_but_not_the_same(progress: Progress) -> None:
    """Ignore progress, as `silent` does, which is recognised by its identity."""
