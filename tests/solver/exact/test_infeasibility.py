"""Certificates of infeasibility, compared with full enumeration: the budgets that conflict, and minimum budgets."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import solver.exact.minimum_budgets
import solver.exact.order_search
from network.allocation import BITS, Allocation, Bits, WeightScheme
from network.budget import Budget
from network.devices.latency import Latency, network_cycles
from network.errors import RequestError
from network.memory.accounting import Accounting
from network.memory.books import accounting_named
from network.memory.measure import measure
from network.network import Network
from solver.exact.choices import Choices
from solver.exact.milp import Matrix, highs
from solver.exact.program import Float64Array, IntArray, Program, ProgramSolution
from solver.fit import fit
from solver.options import Method
from solver.orders import all_orders
from solver.solution import Certificate
from tests.builders import mobilenet_v1, question_of
from tests.solver.instances import (
    BOOKS,
    budget_between,
    chains,
    cheapest_schemes,
    graphs,
    random_latency,
    random_table,
)

SHARES = st.floats(-0.2, 0.9)
Figures = dict[str, float]


def all_figures(network: Network, accounting: Accounting, weights: WeightScheme, latency: Latency) -> Iterator[Figures]:
    """Yield flash, RAM and cycles of all bits in all orders."""
    orders = all_orders(network, 10_000)
    assert orders is not None
    layers = [layer.name for layer in network.weight_layers]
    for order in orders:
        same_bits = accounting.same_bits(order)
        kept = {same_bits[tensor] for tensor in (*order.input_names, *order.outputs)}
        own = [tensor for tensor in dict.fromkeys(same_bits.values()) if tensor not in kept]
        for chosen in itertools.product(BITS, repeat=len(own)):
            own_bits: dict[str, Bits] = {**dict.fromkeys(kept, BITS[0]), **dict(zip(own, chosen, strict=True))}
            activation_bits = {tensor: own_bits[same_bits[tensor]] for tensor in order.tensors}
            for weight_choice in itertools.product(BITS, repeat=len(layers)):
                weight_bits = dict(zip(layers, weight_choice, strict=True))
                schemes = cheapest_schemes(order, accounting, weights, weight_bits, activation_bits)
                allocation = Allocation(weight_bits, activation_bits, schemes)
                report = measure(order, allocation, accounting)
                cycles = network_cycles(order, allocation, latency.speed)
                yield {"flash": report.flash_bytes, "ram": report.ram_bytes, "latency": cycles}


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(
    st.one_of(graphs(most=4), chains(most=3)),
    st.sampled_from(BOOKS),
    st.sampled_from(list(WeightScheme)),
    SHARES,
    SHARES,
    st.one_of(st.none(), st.floats(0.0, 0.5)),
    st.integers(0, 10**6),
)
def test_certificates_agree_with_full_enumeration(
    network: Network,
    accounting: Accounting,
    weights: WeightScheme,
    ram_share: float,
    flash_share: float,
    latency_share: float | None,
    seed: int,
) -> None:
    assume(len(network.tensors) + len(network.weight_layers) <= 7)
    budget = budget_between(network, accounting, weights, ram_share, flash_share)
    latency = random_latency(network, 1.0 if latency_share is None else latency_share, seed)
    certificate = fit(
        question_of(
            network,
            budget,
            Method.EXACT,
            accounting,
            random_table(network, seed),
            choices=Choices((weights,)),
            latency=None if latency_share is None else latency,
        )
    ).certificate
    assume(certificate is not None)
    assert certificate is not None
    figures = list(all_figures(network, accounting, weights, latency))
    least = {name: min(each[name] for each in figures) for name in ("flash", "ram", "latency")}
    limits = {"flash": budget.flash_bytes, "ram": budget.ram_bytes, "latency": latency.most_cycles}
    if latency_share is None:
        del limits["latency"]
        assert certificate.least_cycles is None
    else:
        assert certificate.least_cycles == least["latency"]
        assert certificate.available_cycles == latency.most_cycles
    assert certificate.is_proven
    assert certificate.least_flash_bytes == least["flash"]
    assert certificate.least_ram_bytes == least["ram"]

    def fits(*names: str) -> bool:
        return any(all(each[name] <= limits[name] for name in names) for each in figures)

    too_small = [name for name in ("ram", "flash", "latency") if name in limits and not fits(name)]
    if too_small:
        assert certificate.conflicting == (certificate.budget,) == (too_small[0],)
    else:
        assert len(certificate.conflicting) > 1
        assert certificate.budget in certificate.conflicting
        assert not fits(*certificate.conflicting)
        for fewer in range(1, len(certificate.conflicting)):
            assert all(fits(*names) for names in itertools.combinations(certificate.conflicting, fewer))
    if certificate.budget == "latency":
        assert certificate.missing_bytes is None
        assert certificate.missing_cycles == least["latency"] - latency.most_cycles > 0
        return
    assert certificate.missing_bytes is not None
    assert certificate.missing_bytes > 0
    others = [name for name in certificate.conflicting if name != certificate.budget]
    # If flash alone is too small, its minimum is that under the RAM budget.
    others += ["ram"] if certificate.conflicting == ("flash",) else []
    within = [each for each in figures if all(each[name] <= limits[name] for name in others)]
    if within:
        expected = min(each[certificate.budget] for each in within)
        # Under a latency ceiling, the minimum is found by bisection over budgets, which are whole bytes.
        is_rounded_up = certificate.conflicting == ("ram", "latency")
        assert certificate.least_bytes == (math.ceil(expected) if is_rounded_up else expected)


def certificate_of(network: Network, budget: Budget) -> Certificate:
    """Return the certificate that no bits fit a budget."""
    solution = fit(question_of(network, budget, Method.EXACT, accounting_named("deployed"), random_table(network, 0)))
    assert solution.certificate is not None
    return solution.certificate


def test_a_minimum_that_is_not_proven_in_time_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    network = mobilenet_v1(0.25, 32, 10)
    tight = Budget(10_000, 10**6)
    known = certificate_of(network, tight)
    assert known.least_bytes is not None

    def without_bound(matrix: Matrix, limits: IntArray, seconds: float) -> tuple[Float64Array | None, float]:
        x, _ = highs(matrix, limits, seconds)
        return x, -np.inf

    def out_of_time(matrix: Matrix, limits: IntArray, seconds: float) -> tuple[Float64Array | None, float]:
        del matrix, limits, seconds
        return None, -np.inf

    for backend in (without_bound, out_of_time):
        monkeypatch.setattr(solver.exact.minimum_budgets, "highs", backend)
        certificate = certificate_of(network, tight)
        assert certificate.least_flash_bytes is None
        assert certificate.least_bytes is None
        assert certificate.missing_bytes is None
        assert certificate.conflicting == ("flash",)


def test_without_a_solution_or_a_proof_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = mobilenet_v1(0.25, 32, 10)

    def out_of_time(program: Program, seconds: float) -> ProgramSolution:
        del program, seconds
        return ProgramSolution(None, np.inf, 0.0)

    monkeypatch.setattr(solver.exact.order_search, "solve_exactly", out_of_time)
    with pytest.raises(RequestError, match="in 60 seconds the exact program neither found bits that fit nor proved"):
        certificate_of(network, Budget(10**6, 10**6))
