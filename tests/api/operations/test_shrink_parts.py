"""Parts of a shrink: limits, progress, sentences and the picture."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.operations.shrink.axis_ticks import tick_text, ticks_of
from api.operations.shrink.conclusions import conclusions
from api.operations.shrink.curve import curve_svg
from api.operations.shrink.limits import keeps_limit
from api.operations.shrink.point_progress import PointProgress
from api.schemas.answer import NetworkName
from api.schemas.memory import BudgetAnswer
from api.schemas.reports import QualityAnswer
from api.schemas.shrink import Minimized, Outcome, ShrinkPointAnswer, ShrinkReport, ShrinkRequest
from network.memory.books import BookName
from qat.options.task import Direction, Metric, TaskKind
from qat.progress import Progress
from qat.training.label_source import LabelSource


def point(flash: float, ram: float, quality: float, *, float_quality: float | None, keeps: bool) -> ShrinkPointAnswer:
    return ShrinkPointAnswer(
        flash_bytes=flash, ram_bytes=ram, budget=BudgetAnswer(flash_bytes=int(flash), ram_bytes=2**40), objective=1.0,
        gap=0.0, quality=quality, loss=None if float_quality is None else float_quality - quality, keeps_limit=keeps,
        test=None, best_epoch=0, seconds=1.0, weight_bits={"a": 8}, activation_bits={"b": 8}, folder=f"points/{flash}",
    )  # fmt: skip


def report(*losses: float, max_loss: float = 0.5, **changes: Any) -> ShrinkReport:
    """Return a report whose points lose the given numbers of points, from 10,000 bytes in steps of 1,000."""
    points = [
        point(10_000 + 1000 * index, 2000, 84 - loss, float_quality=84.0, keeps=loss <= max_loss)
        for index, loss in enumerate(losses)
    ]
    kept = [index for index, each in enumerate(points) if each.keeps_limit]
    best = kept[0] if kept else None
    fields: dict[str, Any] = {
        "network": NetworkName(id="", name="net & <co>"), "device": None, "accounting": BookName.PAPER,
        "sensitivity": "fisher", "minimize": Minimized.FLASH, "max_loss": max_loss, "min_quality": None,
        "task": TaskKind.CLASSES, "metric": Metric.ACCURACY, "unit": "percent", "learned_from": LabelSource.LABELS,
        "held_out_samples": 5000, "float_quality": 84.0,
        "outcome": Outcome.NONE_FITS if best is None else Outcome.FOUND if best else Outcome.SMALLEST_FITS,
        "chosen": best, "points": points, "front_points": 40, "front_is_complete": True, "budget_step_bytes": 250,
        "not_monotonic": [index for index, each in enumerate(points) if kept and index > kept[0] and index not in kept],
        "sentences": [], "seconds": 61.4, "result": None,
    }  # fmt: skip
    return ShrinkReport(**fields | changes)


def test_the_sentences_name_the_least_bytes_and_what_the_points_next_to_it_cost() -> None:
    said = conclusions(report(9.0, 0.9, 0.42, 0.1))
    assert said[:4] == [
        (
            "the least flash found: 12,000 bytes of flash (2,000 bytes of RAM) loses 0.42 points; the limit is at most "
            "0.50 points"
        ),
        "1,000 bytes less, 11,000 bytes of flash (2,000 bytes of RAM), loses 0.90 points",
        "2,000 bytes less, 10,000 bytes of flash (2,000 bytes of RAM), loses 9.00 points",
        "1,000 bytes more, 13,000 bytes of flash (2,000 bytes of RAM), loses 0.10 points, which is 0.32 points better",
    ]
    assert "4 of 40 points of the front were judged in 61 s; the bits of each are proven optimal" in said[4]
    assert "250 bytes apart" in said[4]
    assert len(said) == 6


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (report(0.9, 0.3, 0.7, 0.1), "the quality does not always rise with bytes"),
        (report(0.1, 0.1), "even the smallest point of the front keeps the limit"),
        (report(1.2), "no point keeps the limit: even the largest, 10,000 bytes of flash (2,000 bytes of RAM) with 8"),
        (report(0.9, -0.2), "gains 0.20 points"),
        (report(0.9, 0.2, held_out_samples=150), "one held-out sample is 0.67 points, which is coarse"),
        (report(0.9, 0.2, front_is_complete=False), "the time limit ended the computation of the front"),
        (report(0.9, 0.2, minimize=Minimized.RAM), "the least RAM found: 2,000 bytes of RAM (11,000 bytes of flash)"),
    ],
)
def test_what_must_be_said_is_said(given: ShrinkReport, expected: str) -> None:
    assert expected in "\n".join(conclusions(given))


def test_the_loss_on_the_test_set_is_said_too() -> None:
    """The held-out samples may be among those on which the float network was trained, and they chose the point."""
    given = report(0.9, 0.3)
    figures = {"float": 84.5, "fake_quantized": 83.5, "integer_only": 83.7}
    terms = {"metric": Metric.ACCURACY, "unit": "percent", "direction": Direction.HIGHER_IS_BETTER}
    test = QualityAnswer.model_validate({"output": "o", "against": LabelSource.LABELS, **terms, **figures})
    points = [given.points[0], given.points[1].model_copy(update={"test": test})]
    expected = (
        "on the test set, which decided nothing, the chosen point reaches 83.70 %, the float network 84.50 %: it loses "
        "0.80 points"
    )
    assert expected in conclusions(given.model_copy(update={"points": points}))


def test_a_smallest_quality_is_compared_with_the_quality() -> None:
    request = ShrinkRequest(min_quality=30.0)
    assert [keeps_limit(request, quality, None) for quality in (29.9, 30.0, 31.0)] == [False, True, True]


@pytest.mark.parametrize(
    ("float_quality", "quality", "max_loss", "keeps"),
    [(84.0, 83.6, 0.5, True), (84.0, 83.4, 0.5, False), (84.0, 85.0, 0.0, True), (84.0, 83.9, 0.0, False)],
)
def test_a_loss_is_compared_with_the_float_network(
    float_quality: float, quality: float, max_loss: float, keeps: bool
) -> None:
    assert keeps_limit(ShrinkRequest(max_loss=max_loss), quality, float_quality) is keeps


def test_a_loss_of_exactly_the_limit_keeps_it() -> None:
    assert keeps_limit(ShrinkRequest(max_loss=0.5), 84.12, 84.62), "although 84.62 - 84.12 is above 0.5 in binary"


def test_progress_has_the_number_of_the_point_and_the_time_of_all() -> None:
    now = 0.0
    seen: list[Progress] = []
    progress = PointProgress(seen.append, clock=lambda: now)
    progress.begin(1, 5)
    now = 4.0
    progress(Progress("training", seconds_left=6.0))
    progress(Progress("calibrating"))
    now = 12.0
    progress.end()
    progress.begin(2, 4)
    now = 15.0
    progress(Progress("training", seconds_left=7.0))
    assert [(each.point, each.points, each.seconds_left) for each in seen] == [
        (1, 5, 6 + 4 * 10),  # four points follow, each as long as this one: 4 s that have passed, and 6 s
        (1, 5, None),
        (2, 4, 7 + 2 * 12),  # two points follow, each as long as the one that has ended
    ]


@pytest.mark.parametrize(
    ("given", "marks"),
    [
        (report(9.0, 0.9, 0.42, 0.1), {"circle": 3, "polygon": 1}),
        (report(0.2), {"circle": 1}),
        (report(50.0), {"polygon": 1}),
        (report(0.0, 0.0, max_loss=0.0), {"circle": 2}),
        (report(-1.0, -1.5), {"circle": 2}),
        (
            report(
                0.0, 0.0, metric=Metric.SNR, unit="dB", max_loss=0.5,
                points=[point(1000, 50, 31.0, float_quality=32.0, keeps=True)],
            ),
            {"circle": 1},
        ),
    ],
)  # fmt: skip
def test_the_picture_has_each_point_twice_within_its_frame(given: ShrinkReport, marks: dict[str, int]) -> None:
    svg = curve_svg(given)
    root = ET.fromstring(svg)  # noqa: S314  # our own text
    tags = [each.tag.rpartition("}")[2] for each in root.iter() if len(each) == 1 and each[0].tag.endswith("title")]
    assert {tag: tags.count(tag) for tag in set(tags)} == {tag: 2 * count for tag, count in marks.items()}
    for x, y in re.findall(r'c?x="([-\d.]+)" c?y="([-\d.]+)"', svg):
        assert 0 <= float(x) <= 960
        assert 0 <= float(y) <= 400
    assert "nan" not in svg
    assert "net &amp; &lt;co&gt;" in svg
    assert svg == curve_svg(given)


def test_a_picture_of_qualities_has_the_best_points_on_top() -> None:
    points = [point(1000 * flash, 50, snr, float_quality=None, keeps=snr >= 30) for flash, snr in ((1, 12), (2, 33))]
    given = report(
        0.0, max_loss=0.5, metric=Metric.SNR, unit="dB", points=points, chosen=1, float_quality=None
    ).model_copy(update={"max_loss": None, "min_quality": 30.0})
    heights = [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)" r="4.5"', curve_svg(given))[2:4]]
    worst = [float(y) for y in re.findall(r'<polygon points="[\d.]+,([\d.]+)', curve_svg(given))]
    assert max(heights[:1]) < min([*worst, 400.0])
    assert "signal-to-noise ratio in dB" in curve_svg(given)


@given(st.floats(-1000, 1000), st.floats(0.001, 1000), st.integers(2, 10))
def test_ticks_are_round_and_within_the_range(low: float, extent: float, most: int) -> None:
    ticks = ticks_of(low, low + extent, most)
    assert len(ticks) <= most + 1
    assert all(low - 1e-6 <= tick <= low + extent + 1e-6 for tick in ticks)
    assert all(len(tick_text(tick)) <= 12 for tick in ticks)
