"""The memory of a network after its conversion to integers, with the form that each layer then has.

Bits are chosen for narrow constants. Conversion makes a layer wide where narrow constants would not be precise enough;
wide layers need more flash, and functions of their own. Functions for pairs of 2-bit codes are used where they fit.

So a trained network can exceed its budget. It is kept nevertheless: hours of training are in it, it runs with a larger
budget, and its report says that it does not fit, by how many bytes, and why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from api.operations.fit import latency_of, memory_answer, regions_of
from api.schemas.fit import FitAnswer
from deploy.integer_network import IntegerNetwork
from deploy.structure import forms_of, structure_of
from network.budget import Budget
from network.devices.latency import network_cycles
from network.kernel_functions import Form
from network.memory.books import optimization_of
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.pairs import with_pairs
from network.memory.report import MemoryReport
from solver.question import Question
from solver.solution import Solution

WIDE_SUMS: Final = "its sums need 64 bits"
"""Reason why a layer without weights is wide."""

MOST_NAMED_LAYERS: Final = 8
"""Largest number of wide layers that the text about an excess names."""


def deployed_solution(network: IntegerNetwork, solution: Solution, question: Question) -> Solution:
    """Return a solution with the memory that its integer-only network needs, and the rules by which it is counted.

    If the network fits by none of the rules, those by which it exceeds the budget least are used.

    Args:
        network: The integer-only network with the bits of the solution.
        solution: The solution.
        question: The question that the solution answers, with the budget. Its alternative rules may be used if the
            network does not fit by those of the solution, and keeps the ceiling of latency by them.
    """
    if not isinstance(solution.accounting, DeployedAccounting):
        return solution
    structure, allocation = structure_of(network)
    forms, closest = forms_of(network), list[Solution]()
    budget, others = question.budget, [each for each in question.alternatives if each is not solution.accounting]
    allowed = [each for each in others if _keeps_ceiling(replace(question, accounting=each), solution)]
    for book in (solution.accounting, *allowed):
        if isinstance(book, DeployedAccounting):
            counted = book.with_forms(forms)
            report = measure(structure, allocation, counted)
            if not sum(_excess_bytes(report, budget)):
                counted = with_pairs(structure, allocation, counted, budget)
                return replace(solution, accounting=counted, memory=measure(structure, allocation, counted))
            closest.append(replace(solution, accounting=counted, memory=report))
    return min(closest, key=lambda each: sum(_excess_bytes(each.memory, budget)))


def with_memory(answer: FitAnswer, solution: Solution, question: Question) -> FitAnswer:
    """Return an answer with the memory and latency of a solution in place of those from before the conversion.

    It says that the network does not fit if it exceeds the budget.

    Args:
        answer: The answer that described the solution.
        solution: The solution, with the memory of its integer-only network.
        question: The question that the solution answers.
    """
    budget = question.budget
    excess = _excess_bytes(solution.memory, budget)
    return answer.model_copy(
        update={
            "fits": not sum(excess),
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


def overflow_of(solution: Solution, budget: Budget, reasons: Mapping[str, str]) -> str | None:
    """Return what of an integer-only network exceeds a budget, why, and what to do; None if the network fits.

    Args:
        solution: The solution with the memory of the integer-only network.
        budget: Flash and RAM that the network may use.
        reasons: Name of a layer whose constants are wide -> the reason; of other wide layers, the sums need 64 bits.
    """
    excess = _excess_bytes(solution.memory, budget)
    if not sum(excess):
        return None
    forms = solution.accounting.forms if isinstance(solution.accounting, DeployedAccounting) else {}
    wide = {name: reasons.get(name, WIDE_SUMS) for name, form in forms.items() if form is Form.WIDE}
    what = " and ".join(f"{size} bytes of {name}" for size, name in zip(excess, ("flash", "RAM"), strict=True) if size)
    again = "train again with these layers as wide_layers, so that their bytes are counted and fewer bits chosen, or "
    return (
        f"after the conversion the network needs {what} more than the budget{_because(wide)}. All files are written, "
        f"but the network does not fit this budget: {again if wide else ''}use a larger budget"
    )


def _excess_bytes(report: MemoryReport, budget: Budget) -> tuple[int, int]:
    """Return the bytes of flash and of RAM by which a network exceeds a budget, rounded up."""
    return (
        max(math.ceil(report.flash_bytes - budget.flash_bytes), 0),
        max(math.ceil(report.ram_bytes - budget.ram_bytes), 0),
    )


def _because(wide: Mapping[str, str]) -> str:
    if not wide:
        return ""
    names = "; ".join(f"'{name}': {reason}" for name, reason in list(wide.items())[:MOST_NAMED_LAYERS])
    more = f"; and {len(wide) - MOST_NAMED_LAYERS} more" if len(wide) > MOST_NAMED_LAYERS else ""
    layers = "1 layer needs" if len(wide) == 1 else f"{len(wide)} layers need"
    return f", because {layers} wide constants ({names}{more})"
