"""Figures of a comparison in words, which its text and its Markdown share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from api.schemas.answer import format_bytes
from api.schemas.comparison import ComparedQuality, ComparedResult, ComparisonAnswer, Failure, LayerChange, LayerFigures
from qat.options.task import TERMS

NOTHING: Final = "-"

_FAILURES: Final = {
    Failure.DOES_NOT_FIT: "does not fit",
    Failure.BUILD_IS_NOT_GOOD: "the build is not as promised",
    Failure.QUALITY_DROPS: "the quality drops by more than the limit",
    Failure.QUALITY_IS_NOT_COMPARABLE: "the qualities have different metrics",
}

_ORIGINS: Final = {"fit": "predicted", "training": "trained", "build": "linked"}


class FigureRow(NamedTuple):
    """One figure of the whole network before and after a change, as text.

    Attributes:
        name: Name of the figure.
        base: Figure of the base; None without one.
        head: Figure of the head; None without one.
        difference: Difference with its sign; empty if there is none, or it has no meaning.
        limit: Budget or limit; empty without one.
        is_stranger: Whether base and head are texts of the documents, and not of this program.
    """

    name: str
    base: str | None
    head: str | None
    difference: str = ""
    limit: str = ""
    is_stranger: bool = False


def verdict_words(answer: ComparisonAnswer) -> str:
    """Return the verdict of a comparison in words, such as 'fits' or 'FAILS: does not fit'."""
    if answer.passes:
        return "fits" if answer.head.kind != "build" else "fits, linked as predicted"
    return f"FAILS: {'; '.join(_FAILURES[each] for each in answer.failures)}"


def origin_words(head: ComparedResult) -> str:
    """Return where the figures of a result come from: predicted, trained or linked."""
    return _ORIGINS[head.kind]


def difference_words(difference: float | None) -> str:
    """Return a difference of bytes with its sign, such as '+1,024'; '0' if there is none, empty if it is not known."""
    if difference is None:
        return ""
    sign = "+" if difference > 0 else "-" if difference < 0 else ""
    return f"{sign}{format_bytes(abs(difference))}"


def figure_rows(answer: ComparisonAnswer) -> Iterator[FigureRow]:
    """Yield the figures of the whole network: flash, RAM, peak layer, bits, quality, sensitivity and cycles."""
    base, head = answer.base, answer.head
    yield FigureRow(
        "flash",
        None if base is None else format_bytes(base.flash_bytes),
        format_bytes(head.flash_bytes),
        difference_words(answer.flash_difference_bytes),
        _of_budget(head.flash_bytes, head.flash_budget_bytes),
    )
    yield FigureRow(
        "RAM",
        None if base is None else format_bytes(base.ram_bytes),
        format_bytes(head.ram_bytes),
        difference_words(answer.ram_difference_bytes),
        _of_budget(head.ram_bytes, head.ram_budget_bytes),
    )
    peaks = [each.peak_layer if each is not None else None for each in (base, head)]
    if peaks[1] is not None:
        yield FigureRow("peak layer", peaks[0], peaks[1], is_stranger=True)
    for name in ("weight", "activation"):
        tallies = [{} if each is None else getattr(each, f"{name}_tensors") for each in (base, head)]
        if tallies[1]:
            yield FigureRow(f"{name} bits", _tally(tallies[0]), _tally(tallies[1]))
    codes = [None if each is None or each.optimization is None else f"-{each.optimization}" for each in (base, head)]
    if codes[1]:
        yield FigureRow("code", codes[0], codes[1])
    yield from _quality_row(answer)
    if head.objective is not None:
        same = base is not None and base.sensitivity == head.sensitivity
        before = base.objective if base is not None and same else None
        change = "" if before is None else f"{head.objective - before:+.4g}"
        yield FigureRow("summed sensitivity", _number(before), _number(head.objective), change)
    if head.cycles is not None:
        cycles = None if base is None else base.cycles
        yield FigureRow(
            "cycles (estimated)",
            None if cycles is None else f"{cycles:,}",
            f"{head.cycles:,}",
            "" if cycles is None else difference_words(head.cycles - cycles),
        )


def layer_cells(change: LayerChange) -> tuple[str, ...]:
    """Return flash and RAM, each as before, after and difference, and the bits of weights and output of a layer."""
    base, head = change.base, change.head
    return (
        _bytes(base.flash_bytes if base else None),
        _bytes(head.flash_bytes if head else None),
        difference_words(change.flash_difference_bytes),
        _bytes(base.ram_bytes if base else None),
        _bytes(head.ram_bytes if head else None),
        difference_words(change.ram_difference_bytes),
        _bits(base, head, "weight_bits"),
        _bits(base, head, "output_bits"),
    )


REGIONS: Final = {"flash": "flash", "ram": "RAM"}

LAYER_COLUMNS: Final = (
    "flash before", "after", "difference", "RAM before", "after", "difference", "weight bits", "output bits",
)  # fmt: skip


def _of_budget(used: float, budget: int | None) -> str:
    return "" if budget is None else f"of {budget:,} bytes{f' ({used / budget:.1%})' if budget else ''}"


def _tally(tensors: Mapping[str, int]) -> str | None:
    """Return the number of tensors with each number of bits, such as '8: 12, 4: 3'; None without tensors."""
    return ", ".join(f"{bits}: {count}" for bits, count in tensors.items()) or None


def _quality_row(answer: ComparisonAnswer) -> Iterator[FigureRow]:
    base = None if answer.base is None else answer.base.quality
    head = answer.head.quality
    if head is None and base is None:
        return
    limit = "" if answer.max_quality_drop is None else f"may drop by {answer.max_quality_drop:g}"
    change = ""
    if answer.quality_drop is not None and base is not None and head is not None:
        change = (
            f"{head.figure - base.figure:+.2f}"
            if TERMS[head.metric].unit == "percent"
            else (f"{head.figure - base.figure:+.4g}")
        )
    name = TERMS[(head or base).metric].words  # type: ignore[union-attr]  # one of them is a quality
    yield FigureRow(name, _quality(base), _quality(head), change, limit)


def _quality(quality: ComparedQuality | None) -> str | None:
    return None if quality is None else TERMS[quality.metric].text(quality.figure)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6g}"


def _bytes(size: float | None) -> str:
    return NOTHING if size is None else format_bytes(size)


def _bits(base: LayerFigures | None, head: LayerFigures | None, field: str) -> str:
    """Return the bits of a tensor before and after a change, such as '8' or '8 → 4'."""
    before, after = ("" if each is None else getattr(each, field) or "" for each in (base, head))
    if before == after or not before or not after:
        return f"{after or before}"
    return f"{before} → {after}"
