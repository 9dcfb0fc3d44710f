"""The scheme of each layer in the exact program: preference, foldings, options, and the check by the validator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.allocation import (
    BITS,
    DEFAULT_WEIGHT_SCHEME,
    WEIGHT_SCHEMES,
    Allocation,
    Folding,
    Scheme,
    WeightScheme,
)
from network.budget import Budget
from network.errors import RequestError
from network.layers import Shape
from network.memory.accounting import Accounting
from network.memory.books import accounting_named
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.network import Network
from network.sensitivity.table import Row, SensitivityTable
from solver.fit import fit
from solver.options import Method
from solver.solution import Solution
from solver.validator import violations
from tests.builders import mobilenet_v1, network_of, question_of
from tests.solver.instances import BOOKS, budget_between, chains, graphs, pointwise, random_table

PAPER = accounting_named("paper")
PACT, MIN_MAX = WeightScheme.PER_LAYER_ASYM_PACT, WeightScheme.PER_CHANNELS_ASYM_MIN_MAX
NETWORK = network_of([pointwise("a", "input", 32), pointwise("b", "a", 32), pointwise("c", "b", 4)], Shape(4, 4, 4))


def solved(budget: Budget, table: SensitivityTable, accounting: Accounting = PAPER, **options: Any) -> Solution:
    return fit(question_of(NETWORK, budget, Method.EXACT, accounting, table, **options))


def allocation_of(solution: Solution) -> Allocation:
    assert solution.allocation is not None
    return solution.allocation


def level_table(network: Network) -> SensitivityTable:
    row: Row = {8: 0.0, 4: 1.0, 2: 2.0}
    weights = dict.fromkeys((layer.name for layer in network.weight_layers), row)
    return SensitivityTable("level", weights, dict.fromkeys(network.tensors, row))


def flash_bytes(bits: Allocation, schemes: dict[str, Scheme]) -> float:
    return measure(NETWORK, replace(bits, schemes=schemes), PAPER).flash_bytes


def test_another_scheme_is_used_only_in_as_many_layers_as_the_bytes_require() -> None:
    """With a table that does not distinguish schemes, each missing byte is saved in the layer that saves the most."""
    table = level_table(NETWORK)
    ample = allocation_of(solved(Budget(10**6, 10**6), table))
    default, folded = Scheme(DEFAULT_WEIGHT_SCHEME, Folding.ICN), Scheme(PACT, Folding.WEIGHTS)
    assert set(ample.schemes.values()) == {default}
    whole = flash_bytes(ample, dict(ample.schemes))
    saved = {
        name: whole - flash_bytes(ample, {**ample.schemes, name: folded}) for name in ("a", "b", "c")
    }  # 32, 32 and 4 channels
    assert saved["a"] == saved["b"] > saved["c"]
    for missing, others in ((1, 1), (saved["a"], 1), (saved["a"] + 1, 2), (saved["a"] + saved["b"], 2)):
        found = allocation_of(solved(Budget(int(whole - missing), 10**6), table))
        assert found.weight_bits == ample.weight_bits  # the bits of the larger budget still fit
        assert sum(scheme.weights is not DEFAULT_WEIGHT_SCHEME for scheme in found.schemes.values()) == others
        assert {scheme for scheme in found.schemes.values() if scheme != default} == {folded}


def test_only_the_layers_that_gain_by_a_scheme_have_it() -> None:
    table = level_table(NETWORK)
    better = {name: dict(zip(BITS, (0.0, 0.1, 0.2), strict=True)) for name in table.weights}
    worse = {name: dict(zip(BITS, (0.0, 3.0, 4.0), strict=True)) for name in table.weights}
    by_scheme = replace(table, weights_by_scheme={MIN_MAX: {**worse, "b": better["b"]}})
    narrow = solved(Budget(10**6, 10**6), by_scheme, DeployedAccounting(), allowed_weight_bits={"*": [4]})
    assert {name: scheme.weights for name, scheme in allocation_of(narrow).schemes.items()} == {
        "a": DEFAULT_WEIGHT_SCHEME,
        "b": MIN_MAX,
        "c": DEFAULT_WEIGHT_SCHEME,
    }
    assert narrow.objective == pytest.approx(1.0 + 0.1 + 1.0)


@settings(max_examples=25, deadline=None)
@given(
    st.one_of(graphs(most=6), chains(most=6)), st.sampled_from(BOOKS), st.floats(0, 1), st.floats(0, 1),
    st.integers(0, 10**6), st.booleans(),
)  # fmt: skip
def test_the_sum_is_never_above_that_of_one_scheme_or_of_a_rule(
    network: Network, accounting: Accounting, ram_share: float, flash_share: float, seed: int, has_schemes: bool
) -> None:
    table = random_table(network, seed, has_schemes=has_schemes)
    budget = budget_between(network, accounting, DEFAULT_WEIGHT_SCHEME, ram_share, flash_share)
    best = fit(question_of(network, budget, Method.EXACT, accounting, table))
    others = [
        fit(question_of(network, budget, Method.EXACT, accounting, table, scheme=scheme)) for scheme in WEIGHT_SCHEMES
    ]
    others += [fit(question_of(network, budget, rule, accounting, table)) for rule in (Method.MIXPL, Method.MIXPC)]
    for other in others:
        if other.objective is not None:
            assert best.objective is not None
            assert best.objective <= other.objective * (1 + 1e-9)


def test_a_network_with_more_foldings_than_indicators_to_branch_on() -> None:
    network = mobilenet_v1(0.25, 96, 10, seed=1)
    table = random_table(network, 3, has_schemes=True)
    budget = budget_between(network, PAPER, PACT, 0.3, 0.4)
    native, highs = (
        fit(question_of(network, budget, Method.EXACT, PAPER, table, backend=backend))
        for backend in ("native", "highs")
    )
    assert native.gap == 0
    assert native.objective == pytest.approx(highs.objective, rel=1e-8)
    assert len({scheme.folding for scheme in allocation_of(native).schemes.values()}) == 2


def test_a_scheme_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(RequestError, match="the scheme of all weights is PerLayerAsymPACT, but the allowed schemes"):
        solved(Budget(10**6, 10**6), level_table(NETWORK), scheme=PACT, allowed_schemes=[MIN_MAX])
    with pytest.raises(RequestError, match="allowed_schemes: expected 1 or more entries"):
        solved(Budget(10**6, 10**6), level_table(NETWORK), allowed_schemes=[])


def test_the_validator_checks_schemes_foldings_and_the_sum() -> None:
    table = replace(level_table(NETWORK), weights_by_scheme={PACT: random_table(NETWORK, 1).weights})
    question = question_of(
        NETWORK, Budget(10**6, 10**6), Method.EXACT, PAPER, table, allowed_schemes=[DEFAULT_WEIGHT_SCHEME, PACT]
    )
    solution = fit(question)
    right = allocation_of(solution)

    def judged(scheme: Scheme, objective: float | None = None, **bits: dict[str, int]) -> list[str]:
        changed = replace(right, schemes={**right.schemes, "b": scheme}, **bits)  # type: ignore[arg-type]
        return violations(question, replace(solution, allocation=changed, objective=objective))

    assert judged(right.schemes["b"], solution.objective) == []
    assert judged(Scheme(MIN_MAX, Folding.ICN)) == [
        "layer 'b' has the scheme PerChannelsAsymMinMax; expected PerChannelSymLSQ or PerLayerAsymPACT"
    ]
    assert judged(Scheme(DEFAULT_WEIGHT_SCHEME, Folding.ICN), 0.5) == [
        "the summed sensitivity is stated as 0.5, but the table has 0.0"
    ]
    # The table has another figure for this scheme.
    (fault,) = judged(Scheme(PACT, Folding.ICN), solution.objective)
    assert fault.endswith(f"but the table has {table.weight_rows(PACT)['b'][8]}")
    (fault,) = judged(Scheme(PACT, Folding.WEIGHTS), weight_bits={**right.weight_bits, "b": 4})
    assert fault == "layer 'b' folds batch norm, but its weights have 4 bits and its output 8; expected 8 and 8"
