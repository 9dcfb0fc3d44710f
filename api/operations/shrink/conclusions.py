"""Result of a shrink in words: the least bytes, what the points next to them cost, and what was not shown."""

from __future__ import annotations

from collections.abc import Iterator

from api.operations.shrink.words import amount_text, effect_text, limit_text, size_of
from api.schemas.answer import format_bytes
from api.schemas.shrink import Minimized, Outcome, ShrinkPointAnswer, ShrinkReport
from qat.options.task import TERMS, Metric


def conclusions(report: ShrinkReport) -> list[str]:
    """Return the result of a shrink in words, one sentence each.

    Args:
        report: The report; its field `sentences` is not read.
    """
    found = _nothing(report) if report.best is None else _least(report, report.best)
    return [
        *found, *_smaller(report), *_larger(report), *_not_monotonic(report), *_on_test_set(report),
        *_conditions(report),
    ]  # fmt: skip


def _least(report: ShrinkReport, best: ShrinkPointAnswer) -> Iterator[str]:
    kept = f"{_place(report, best)} {effect_text(report, best)}; the limit is {limit_text(report)}"
    if report.outcome is Outcome.FOUND:
        yield f"the least {report.minimize.words} found: {kept}"
    else:
        yield f"even the smallest point of the front keeps the limit: {kept}; the front has no smaller point"


def _nothing(report: ShrinkReport) -> Iterator[str]:
    largest = report.points[-1]
    yield (
        f"no point keeps the limit: even the largest, {_place(report, largest)} {_bits(largest)}, "
        f"{effect_text(report, largest)}, and {limit_text(report)} is the limit; smaller points were not judged, "
        "because quality is assumed to fall with bytes"
    )


def _smaller(report: ShrinkReport) -> Iterator[str]:
    if report.chosen is None or report.best is None:
        return
    for point in reversed(report.points[max(report.chosen - 2, 0) : report.chosen]):
        less = size_of(report, report.best) - size_of(report, point)
        yield f"{format_bytes(less)} bytes less, {_place(report, point)}, {effect_text(report, point)}"


def _larger(report: ShrinkReport) -> Iterator[str]:
    if report.chosen is None or report.best is None or report.chosen + 1 == len(report.points):
        return
    point = report.points[report.chosen + 1]
    more = size_of(report, point) - size_of(report, report.best)
    change = point.quality - report.best.quality
    yield (
        f"{format_bytes(more)} bytes more, {_place(report, point)}, {effect_text(report, point)}, which is "
        f"{amount_text(report.metric, abs(change))} {'better' if change > 0 else 'worse'}"
        if change
        else f"{format_bytes(more)} bytes more, {_place(report, point)}, {effect_text(report, point)} too"
    )


def _not_monotonic(report: ShrinkReport) -> Iterator[str]:
    if report.not_monotonic:
        places = ", ".join(
            f"{_place(report, point)} {effect_text(report, point)}"
            for point in (report.points[index] for index in report.not_monotonic)
        )
        yield (
            f"the quality does not always rise with bytes: {places}, although a smaller point keeps the limit; a "
            "smaller point that was not judged may keep the limit, too"
        )


def _on_test_set(report: ShrinkReport) -> Iterator[str]:
    if report.best is None or report.best.test is None:
        return
    test = report.best.test
    terms = TERMS[test.metric]
    sentence = f"on the test set, which decided nothing, the chosen point reaches {terms.text(test.integer_only)}"
    if test.float_ is None:
        yield sentence
        return
    loss = test.float_ - test.integer_only
    effect = f"{'gains' if loss < 0 else 'loses'} {amount_text(test.metric, abs(loss))}"
    yield f"{sentence}, the float network {terms.text(test.float_)}: it {effect}"


def _conditions(report: ShrinkReport) -> Iterator[str]:
    unproven = [point for point in report.points if point.gap != 0]
    proof = (
        "the bits of each are proven optimal for its budget"
        if not unproven
        else f"the bits of {len(report.points) - len(unproven)} are proven optimal for their budget"
    )
    yield (
        f"{len(report.points)} of {report.front_points} points of the front were judged in {report.seconds:,.0f} s; "
        f"{proof}; the budgets of the front are {report.budget_step_bytes:,} bytes apart"
    )
    if not report.front_is_complete:
        yield (
            "the time limit ended the computation of the front: points may be missing; give a larger "
            "time_limit_seconds or fewer points"
        )
    yield (f"points were compared on {report.held_out_samples:,} held-out samples of the training set")
    one = 100 / max(1, report.held_out_samples)
    if report.metric is Metric.ACCURACY and report.max_loss is not None and 2 * one > report.max_loss:
        yield (
            f"one held-out sample is {one:.2f} points, which is coarse for a limit of {report.max_loss:g} points: give "
            "more training samples, or a larger validation_fraction"
        )


def _place(report: ShrinkReport, point: ShrinkPointAnswer) -> str:
    flash, ram = format_bytes(point.flash_bytes), format_bytes(point.ram_bytes)
    if report.minimize is Minimized.FLASH:
        return f"{flash} bytes of flash ({ram} bytes of RAM)"
    return f"{ram} bytes of RAM ({flash} bytes of flash)"


def _bits(point: ShrinkPointAnswer) -> str:
    bits = {*point.weight_bits.values(), *point.activation_bits.values()}
    return "with 8 bits for every tensor" if bits == {8} else "the optimum under the given budgets"
