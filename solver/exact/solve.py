"""Solution of a question by an integer program: bits with their memory report, or a certificate of infeasibility."""

from __future__ import annotations

import math
from dataclasses import replace

from network.devices.latency import network_cycles
from network.errors import RequestError
from network.memory.measure import measure
from solver.exact.infeasibility import certify_infeasibility
from solver.exact.order_search import search_orders
from solver.options import Method
from solver.question import Question
from solver.solution import Solution


def solve_by_exact_program(question: Question) -> Solution:
    """Return the bits and layer order of minimum summed sensitivity, or a certificate that no bits fit the budget.

    Args:
        question: A question for the exact program, with a sensitivity table.

    Raises:
        RequestError: If the time limit passed before bits were found or it was proven that none fit.
    """
    network, accounting = question.network, question.accounting
    found = search_orders(question)
    if found.allocation is None:
        certified = certify_infeasibility(question, is_proven=math.isinf(found.bound))
        if certified is None:
            raise RequestError(
                f"in {question.options.time_limit_seconds:g} seconds the exact program neither found bits that fit nor "
                "proved that no bits fit; raise the time limit or the budget"
            )
        certificate, report = certified
        return Solution(Method.EXACT, None, certificate, report, network, accounting)
    latency = question.latency
    report = measure(found.network, found.allocation, accounting)
    given_bits = {tensor: found.allocation.activation_bits[tensor] for tensor in network.tensors}
    in_given_order = replace(found.allocation, activation_bits=given_bits)
    return Solution(
        Method.EXACT,
        found.allocation,
        None,
        report,
        found.network,
        accounting,
        objective=found.objective,
        bound=found.bound,
        given_order_ram_bytes=measure(network, in_given_order, accounting).ram_bytes,
        cycles=None if latency is None else network_cycles(network, found.allocation, latency.speed),
    )
