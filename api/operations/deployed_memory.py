"""The memory of a network after its conversion to integers, with the form that each layer then has.

Bits are chosen for narrow constants. Conversion makes a layer wide where narrow constants would not be precise enough;
wide layers need more flash, and functions of their own. Functions for pairs of 2-bit codes are used where they fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from api.operations.fit import latency_of, memory_answer, regions_of
from api.schemas.fit import FitAnswer
from deploy.integer_network import IntegerNetwork
from deploy.structure import forms_of, structure_of
from network.budget import Budget
from network.devices.latency import network_cycles
from network.errors import ConversionError
from network.kernel_functions import Form
from network.memory.books import optimization_of
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.pairs import with_pairs
from network.memory.report import MemoryReport
from solver.question import Question
from solver.solution import Solution


def deployed_solution(network: IntegerNetwork, solution: Solution, question: Question) -> Solution:
    """Return a solution with the memory that its integer-only network needs, and the rules by which it is counted.

    Args:
        network: The integer-only network with the bits of the solution.
        solution: The solution.
        question: The question that the solution answers, with the budget. Its alternative rules may be used if the
            network does not fit by those of the solution, and keeps the ceiling of latency by them.

    Raises:
        ConversionError: If the network does not fit the budget; names the layers whose constants are wide.
    """
    if not isinstance(solution.accounting, DeployedAccounting):
        return solution
    structure, allocation = structure_of(network)
    forms, reports = forms_of(network), []
    budget, others = question.budget, [each for each in question.alternatives if each is not solution.accounting]
    allowed = [each for each in others if _keeps_ceiling(replace(question, accounting=each), solution)]
    for book in (solution.accounting, *allowed):
        if isinstance(book, DeployedAccounting):
            counted = book.with_forms(forms)
            report = measure(structure, allocation, counted)
            if report.flash_bytes <= budget.flash_bytes and report.ram_bytes <= budget.ram_bytes:
                counted = with_pairs(structure, allocation, counted, budget)
                return replace(solution, accounting=counted, memory=measure(structure, allocation, counted))
            reports.append(report)
    raise ConversionError(_excess(min(reports, key=lambda each: each.flash_bytes), budget, forms))


def with_memory(answer: FitAnswer, solution: Solution, question: Question) -> FitAnswer:
    """Return an answer with the memory and latency of a solution in place of those from before the conversion.

    Args:
        answer: The answer that described the solution.
        solution: The solution, with the memory of its integer-only network.
        question: The question that the solution answers.
    """
    budget = question.budget
    return answer.model_copy(
        update={
            "memory": memory_answer(solution),
            "regions": regions_of(solution.memory, budget.flash_bytes, budget.ram_bytes),
            "optimization": optimization_of(solution.accounting),
            "latency": latency_of(question, solution),
        }
    )


def _keeps_ceiling(question: Question, solution: Solution) -> bool:
    """Return whether the bits of a solution keep the ceiling of latency with the code that a question counts."""
    latency, allocation = question.latency, solution.allocation
    if latency is None or allocation is None:
        return True
    return network_cycles(solution.network, allocation, latency.speed) <= latency.most_cycles


def _excess(report: MemoryReport, budget: Budget, forms: dict[str, Form]) -> str:
    wide = [name for name, form in forms.items() if form is Form.WIDE]
    flash_bytes, ram_bytes = report.flash_bytes - budget.flash_bytes, report.ram_bytes - budget.ram_bytes
    missing = [
        (f"{excess:.0f} bytes of {what}", f"reserved_{key} {excess:.0f} bytes larger")
        for excess, what, key in ((flash_bytes, "flash", "flash"), (ram_bytes, "RAM", "ram"))
        if excess > 0
    ]
    more = " and ".join(each for _, each in missing)
    return (
        f"after the conversion the network needs {' and '.join(each for each, _ in missing)} more than the budget"
        f"{_because(wide)}; train again with {more}, so that fewer bits are chosen, or with a larger budget"
    )


def _because(wide: Sequence[str]) -> str:
    if not wide:
        return ""
    names = ", ".join(f"'{name}'" for name in wide[:8]) + (f" and {len(wide) - 8} more" if len(wide) > 8 else "")
    return f", because narrow constants are not precise enough for {len(wide)} layers, which have wide ones: {names}"
