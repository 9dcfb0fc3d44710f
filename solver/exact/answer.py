"""`method: exact` as a solution: with its report, or with the certificate of what would do."""

from __future__ import annotations

import math
from dataclasses import replace

from network.budget import Budget
from network.devices.latency import network_cycles
from network.errors import RequestError
from network.memory.accounting import Accounting
from network.memory.measure import measure
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.exact.infeasibility import shortfall
from solver.exact.options import ExactOptions
from solver.exact.order_search import fit_exactly
from solver.solution import Method, Solution


def exactly(
    network: Network, budget: Budget, accounting: Accounting, table: SensitivityTable, options: ExactOptions
) -> Solution:
    """The best bits and order, or why there are none.

    Raises:
        RequestError: nothing was found, and nothing proven, within the time limit.
    """
    answer = fit_exactly(network, budget, accounting, table, options)
    if answer.allocation is None:
        found = shortfall(network, budget, accounting, options, is_proven=math.isinf(answer.bound))
        if found is None:
            raise RequestError(
                f"in {options.time_limit_seconds:g} seconds no bits were found that fit, nor was it proven that there "
                "are none; give the exact program more time, or the network more memory"
            )
        certificate, report = found
        return Solution(Method.EXACT, None, certificate, report, network)
    latency = options.latency
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
