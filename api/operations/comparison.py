"""Compare two results of a network, the base and the head of a change, for build pipelines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from api.operations.compared_results import Result
from api.schemas.comparison import (
    ComparedResult,
    ComparisonAnswer,
    Failure,
    LayerChange,
    LayerFigures,
    SharedChange,
)
from network.errors import RequestError
from qat.options.task import Direction

DECIMALS: Final = 9
"""Digits after the decimal point of a drop of quality; what is beyond them is the rounding of binary fractions."""

_NO_FIGURES: Final = LayerFigures(flash_bytes=None, ram_bytes=None, weight_bits=None, output_bits=None)


def compare(base: Result | None, head: Result, max_quality_drop: float | None = None) -> ComparisonAnswer:
    """Return what changed from one result of a network to another one, and whether the change is acceptable.

    A change fails if the network does not fit its budget, if its build is not good, or if its quality drops by more
    than the limit. Without a base, or if the base has no quality, the limit is not checked.

    Args:
        base: Result before the change; None without one.
        head: Result after the change.
        max_quality_drop: Largest allowed drop of the quality, in the unit of the metric, 0 or more; None without a
            limit.

    Raises:
        RequestError: If the limit is not a number, or if there is a limit and the head has no quality.
    """
    if max_quality_drop is not None and not 0 <= max_quality_drop < math.inf:
        raise RequestError(f"the limit of the drop of quality is {max_quality_drop}; expected a number, 0 or more")
    if max_quality_drop is not None and head.figures.quality is None:
        raise RequestError(
            "a limit of the drop of quality is given, but the head has no quality; expected the report of a training "
            "with a test set"
        )
    before = None if base is None else base.figures
    drop = None if before is None else quality_drop(before, head.figures)
    failures = list(_failures(before, head, drop, max_quality_drop))
    return ComparisonAnswer(
        passes=not failures,
        failures=failures,
        base=before,
        head=head.figures,
        flash_difference_bytes=None if before is None else head.figures.flash_bytes - before.flash_bytes,
        ram_difference_bytes=None if before is None else head.figures.ram_bytes - before.ram_bytes,
        quality_drop=drop,
        max_quality_drop=max_quality_drop,
        layers=[] if base is None else _layer_changes(base, head),
        shared=[] if base is None else _shared_changes(base, head),
        notes=list(_notes(before, head.figures, max_quality_drop)),
    )


def quality_drop(base: ComparedResult, head: ComparedResult) -> float | None:
    """Return by how much the quality of a head is worse than that of a base; None if they cannot be compared.

    Args:
        base: Figures before the change.
        head: Figures after the change.
    """
    if base.quality is None or head.quality is None or not _same_metric(base, head):
        return None
    lost = base.quality.figure - head.quality.figure
    return round(lost if head.quality.direction is Direction.HIGHER_IS_BETTER else -lost, DECIMALS)


def _same_metric(base: ComparedResult, head: ComparedResult) -> bool:
    """Return whether two results with qualities judge the same metric against the same targets."""
    before, after = base.quality, head.quality
    if before is None or after is None:
        return False
    return (before.metric, before.direction, before.against) == (after.metric, after.direction, after.against)


def _failures(base: ComparedResult | None, head: Result, drop: float | None, limit: float | None) -> Iterator[Failure]:
    if not head.figures.fits:
        yield Failure.DOES_NOT_FIT
    elif not head.is_build_good:
        yield Failure.BUILD_IS_NOT_GOOD
    if limit is None or base is None or base.quality is None:
        return
    if drop is None:
        yield Failure.QUALITY_IS_NOT_COMPARABLE
    elif drop > limit:
        yield Failure.QUALITY_DROPS


def _layer_changes(base: Result, head: Result) -> list[LayerChange]:
    """Return the layers that differ, those with the largest change of flash first, then of RAM.

    Figures that only one of two kinds of results has, such as the bits of a fit beside a build, are no difference.
    """
    is_build = "build" in {base.figures.kind, head.figures.kind}
    changes = []
    for name in (*head.layers, *(name for name in base.layers if name not in head.layers)):
        before, after = base.layers.get(name), head.layers.get(name)
        if is_build:
            before, after = _flash_alone(before), _flash_alone(after)
        if before == after:
            continue
        old, new = before or _NO_FIGURES, after or _NO_FIGURES
        changes.append(
            LayerChange(
                layer=name,
                base=before,
                head=after,
                flash_difference_bytes=(new.flash_bytes or 0) - (old.flash_bytes or 0),
                ram_difference_bytes=(new.ram_bytes or 0) - (old.ram_bytes or 0),
            )
        )
    return sorted(changes, key=lambda each: (-abs(each.flash_difference_bytes), -abs(each.ram_difference_bytes)))


def _flash_alone(figures: LayerFigures | None) -> LayerFigures | None:
    """Return the flash of a layer without the figures that a build does not have; None if it has no flash."""
    if figures is None or not figures.flash_bytes:
        return None
    return _NO_FIGURES.model_copy(update={"flash_bytes": figures.flash_bytes})


def _shared_changes(base: Result, head: Result) -> list[SharedChange]:
    if (base.figures.kind == "build") is not (head.figures.kind == "build"):
        return []  # their parts have different names
    changes = [
        SharedChange(
            region=region,
            part=part,
            base_bytes=base.shared.get((region, part)),
            head_bytes=head.shared.get((region, part)),
            difference_bytes=head.shared.get((region, part), 0) - base.shared.get((region, part), 0),
        )
        for region, part in dict.fromkeys((*head.shared, *base.shared))
    ]
    return sorted((each for each in changes if each.difference_bytes), key=lambda each: -abs(each.difference_bytes))


def _notes(base: ComparedResult | None, head: ComparedResult, limit: float | None) -> Iterator[str]:
    """Yield fixed sentences without any text of the documents, so that they can be shown everywhere."""
    if base is None:
        yield "There is no result of the base: only the budget is checked."
        return
    budgets = [(each.flash_budget_bytes, each.ram_budget_bytes) for each in (base, head)]
    if base.device != head.device or budgets[0] != budgets[1]:
        yield "Base and head have different devices or budgets."
    if base.kind != head.kind:
        yield f"The figures of the base are those of a {base.kind}, the figures of the head those of a {head.kind}."
    if not (base.fits and head.fits) and "build" not in {base.kind, head.kind}:
        yield "Where nothing fits, bytes are those of the fewest bits."
    if limit is not None and base.quality is None:
        yield "The base has no quality: the limit of its drop is not checked."
