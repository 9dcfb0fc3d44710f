"""The report of a finished search for the least bytes."""

from __future__ import annotations

import math

from api.operations.shrink.conclusions import conclusions
from api.operations.shrink.points import POINTS_FOLDER, by_size, seconds_of, size_bytes
from api.operations.shrink.search import JudgedPoint, Search
from api.schemas.answer import NetworkName
from api.schemas.memory import BudgetAnswer
from api.schemas.shrink import Minimized, Outcome, ShrinkPointAnswer, ShrinkReport, ShrinkRequest
from network.memory.books import BookName
from qat.options.task import TERMS
from solver.bisection import failing_above, least_passing
from solver.pareto import ParetoFront
from solver.question import Question


def report_of(
    request: ShrinkRequest,
    network_name: NetworkName,
    question: Question,
    front: ParetoFront,
    found: Search,
    seconds: float,
) -> ShrinkReport:
    """Return the report of a finished search.

    Args:
        request: The request of the search.
        network_name: Identifier and name of the network.
        question: The solver's question, with the largest budget.
        front: The Pareto front that was searched.
        found: The judged points.
        seconds: Elapsed time of the search in seconds.
    """
    outcomes = {number: each.keeps_limit for number, each in found.judged.items()}
    best = least_passing(outcomes)
    index = {number: place for place, number in enumerate(found.judged)}
    float_network, table = found.float_network, question.sensitivity
    assert table is not None  # noqa: S101  # the front has been computed with it
    outcome = Outcome.NONE_FITS if best is None else Outcome.SMALLEST_FITS if best == 0 else Outcome.FOUND
    report = ShrinkReport(
        network=network_name,
        device=None if question.device is None else question.device.name,
        accounting=BookName(question.accounting.name),
        sensitivity=table.method,
        minimize=request.minimize,
        max_loss=request.max_loss,
        min_quality=request.min_quality,
        task=float_network.task.kind,
        metric=float_network.metric,
        unit=TERMS[float_network.metric].unit,  # type: ignore[arg-type]  # the schema lists all units
        learned_from=float_network.task.learned_from,
        held_out_samples=float_network.samples,
        float_quality=float_network.float_network,
        outcome=outcome,
        chosen=None if best is None else index[best],
        points=[_point(each, request, float_network.float_network) for each in found.judged.values()],
        front_points=len(by_size(front.points, request.minimize)),
        budget_step_bytes=_budget_step(request, front),
        front_is_complete=front.is_complete,
        not_monotonic=[index[number] for number in failing_above(outcomes)],
        sentences=[],
        seconds=seconds,
        result=None if best is None else found.judged[best].report,
    )
    return report.model_copy(update={"sentences": conclusions(report)})


def _budget_step(request: ShrinkRequest, front: ParetoFront) -> int:
    """Return the distance between two budgets of a front in bytes, rounded up."""
    budgets = [
        point.budget.flash_bytes if request.minimize is Minimized.FLASH else point.budget.ram_bytes
        for point in front.points
    ]
    return math.ceil((max(budgets) - min(budgets)) / (request.points - 1))


def _point(judged: JudgedPoint, request: ShrinkRequest, float_quality: float | None) -> ShrinkPointAnswer:
    point, report = judged.point, judged.report
    return ShrinkPointAnswer(
        flash_bytes=point.solution.memory.flash_bytes,
        ram_bytes=point.solution.memory.ram_bytes,
        budget=BudgetAnswer.model_validate(point.budget),
        objective=point.solution.objective or 0.0,
        gap=point.solution.gap,
        quality=judged.quality,
        loss=None if float_quality is None else float_quality - judged.quality,
        keeps_limit=judged.keeps_limit,
        test=report.quality,
        best_epoch=report.best_epoch,
        seconds=seconds_of(report),
        weight_bits=report.weight_bits,
        activation_bits=report.activation_bits,
        folder=f"{POINTS_FOLDER}/{size_bytes(point, request.minimize)}",
    )
