"""Pareto front of a network: the smallest summed sensitivity at each memory budget."""

from __future__ import annotations

from collections.abc import Callable

from api.operations.question import terms_of
from api.schemas.answer import NetworkName
from api.schemas.memory import BudgetAnswer
from api.schemas.pareto import ParetoAnswer, ParetoPointAnswer, ParetoRequest
from network.errors import RequestError
from network.memory.books import optimization_of
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.pareto import ParetoPoint, pareto_front


def answer_pareto(
    network: Network,
    network_name: NetworkName,
    request: ParetoRequest,
    table: SensitivityTable | None,
    report: Callable[[int, int], None] | None = None,
) -> ParetoAnswer:
    """Compute the Pareto front of a network: the smallest summed sensitivity at each memory budget.

    Args:
        network: The network, with its layers in the order of its file.
        network_name: Identifier and name of the network in the answer.
        request: The budget that is not varied, the axis, the number of points, and how bits are chosen.
        table: Sensitivity table that is minimized.
        report: Callback that receives the number of the budget that is solved next, from 1, and the number of budgets.

    Raises:
        RequestError: If the request names one of the paper's rules, or its parts do not suit each other.
        InvalidNetwork: If the network has no layer with weights.
    """
    question = terms_of(request).question(network, table)
    front = pareto_front(question, axis=request.axis, points=request.points, report=report)
    if table is None:
        raise RequestError("a Pareto front needs a sensitivity table; give a sensitivity measure or a table")
    return ParetoAnswer(
        network=network_name,
        accounting=request.accounting,
        sensitivity=table.method,
        axis=request.axis,
        is_complete=front.is_complete,
        points=[_point_answer(point) for point in front.points],
    )


def _point_answer(point: ParetoPoint) -> ParetoPointAnswer:
    solution = point.solution
    assert solution.allocation is not None  # noqa: S101  # a point of the front fits
    return ParetoPointAnswer(
        budget=BudgetAnswer.model_validate(point.budget),
        flash_bytes=solution.memory.flash_bytes,
        ram_bytes=solution.memory.ram_bytes,
        optimization=optimization_of(solution.accounting),
        objective=solution.objective or 0.0,
        bound=solution.bound or 0.0,
        gap=solution.gap or 0.0,
        weight_bits=dict(solution.allocation.weight_bits),
        activation_bits=dict(solution.allocation.activation_bits),
    )
