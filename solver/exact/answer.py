"""`method: exact` as a solution: with its report, or with the certificate of what would do."""

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


def answer_exactly(question: Question) -> Solution:
    """Return the best bits and layer order, or the certificate that no bits fit.

    Raises:
        RequestError: If the time limit passed before bits were found or it was proven that there are none.
    """
    network, accounting = question.network, question.accounting
    answer = search_orders(question)
    if answer.allocation is None:
        found = certify_infeasibility(question, is_proven=math.isinf(answer.bound))
        if found is None:
            raise RequestError(
                f"in {question.options.time_limit_seconds:g} seconds no bits were found that fit, nor was it proven "
                "that there are none; give the exact program more time, or the network more memory"
            )
        certificate, report = found
        return Solution(Method.EXACT, None, certificate, report, network)
    latency = question.latency
    report = measure(answer.network, answer.allocation, accounting)
    given = {tensor: answer.allocation.activation_bits[tensor] for tensor in network.tensors}
    in_given_order = replace(answer.allocation, activation_bits=given)
    return Solution(
        Method.EXACT,
        answer.allocation,
        None,
        report,
        answer.network,
        objective=answer.objective,
        bound=answer.bound,
        given_order_ram_bytes=measure(network, in_given_order, accounting).ram_bytes,
        cycles=None if latency is None else network_cycles(network, answer.allocation, latency.speed),
    )
