"""Question in, solution out."""

from __future__ import annotations

from dataclasses import replace

from solver.options import Method
from solver.question import Question, check_question
from solver.rules.answer import answer_by_rule
from solver.solution import Solution
from solver.validator import violations


def fit(question: Question) -> Solution:
    """Choose the bits of every tensor, or certify that no bits fit.

    Args:
        question: The network, the budget and all options.

    Raises:
        InvalidNetwork: If the network has no layer with weights.
        RequestError: If parts of the question do not suit each other (see `check_question`), or if the exact program
            neither found bits nor proved that there are none within its time limit.
        RuntimeError: If the solution breaks a rule that the validator checks. This is a bug, never an answer.
    """
    check_question(question)
    if question.method is Method.EXACT:
        # Importing scipy takes longer than applying a rule.
        from solver.exact.answer import answer_exactly

        solution = answer_exactly(question)
    else:
        solution = answer_by_rule(question)
        allocation, table = solution.allocation, question.sensitivity
        if allocation is not None and table is not None:
            objective = table.objective(allocation.weight_bits, allocation.activation_bits)
            solution = replace(solution, objective=objective)
    broken = violations(question, solution)
    if broken:
        raise RuntimeError(f"{question.method} broke its own rules on '{question.network.name}': {'; '.join(broken)}")
    return solution
