"""Weight tensors that several layers share: one choice of bits, one scheme, counted once, in every method."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from network.allocation import BITS, Allocation, Folding, Scheme, WeightScheme
from network.budget import MAX_BUDGET_BYTES, Budget
from network.devices.latency import Latency, network_cycles
from network.errors import RequestError
from network.layers import Convolution, FullyConnected, Shape
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.paper import PaperAccounting
from network.network import Network
from network.sensitivity.table import Row, SensitivityTable
from solver.exact.choices import Choices, check_choices
from solver.exact.formulation import formulate
from solver.exact.minimum_budgets import minimum_cycles
from solver.fit import fit
from solver.options import Method, SolveOptions
from solver.orders import all_orders
from solver.problem_building import problem_of
from solver.question import Question
from solver.question_json import question_from_json, question_to_json
from solver.validator import violations
from tests.builders import network_of, question_of
from tests.solver.enumeration import minimum_by_enumeration
from tests.solver.instances import (
    BOOKS,
    budget_between,
    chains,
    graphs,
    pointwise,
    random_choices,
    random_latency,
    random_table,
    with_shared_weights,
)

MAX_ENUMERATED_TENSORS = 9
UNLIMITED = Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES)


def shared(name: str, source: str, tensor: str | None) -> Convolution:
    """Return a pointwise convolution that reads the weight tensor of this name."""
    return replace(pointwise(name, source, 64), shared_weight=tensor)


def chain(*tensors: str | None) -> Network:
    """Return a chain of equal convolutions that read the weight tensors of these names, and a fully connected layer."""
    layers = [pointwise("l0", "input", 64)]
    for index, tensor in enumerate(tensors, start=1):
        layers.append(shared(f"l{index}", f"l{index - 1}", tensor))
    head = FullyConnected(name="fc", inputs=(layers[-1].output,), output="fc", output_channels=3)
    return network_of([*layers, head], Shape(3, 1, 1))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(
    st.one_of(graphs(most=6), chains(most=4)),
    st.sampled_from(BOOKS),
    st.sampled_from(list(WeightScheme)),
    st.floats(-0.1, 1.05),
    st.floats(-0.1, 1.05),
    st.integers(0, 10**6),
    st.booleans(),
    st.one_of(st.none(), st.none(), st.floats(0.0, 0.7)),
)
def test_the_optimum_is_that_of_full_enumeration(
    drawn: Network,
    accounting: DeployedAccounting,
    weights: WeightScheme,
    ram_share: float,
    flash_share: float,
    seed: int,
    restricts_bits: bool,
    latency_share: float | None,
) -> None:
    network = with_shared_weights(drawn, seed)
    assume(network.weight_owners.sharing)
    assume(len(network.tensors) + len(network.weight_layers) <= MAX_ENUMERATED_TENSORS)
    assume(all_orders(network, 20) is not None)
    table = random_table(network, seed)
    budget = budget_between(network, accounting, weights, ram_share, flash_share)
    choices = random_choices(network, weights, seed) if restricts_bits else Choices((weights,))
    latency = None if latency_share is None else random_latency(network, latency_share, seed)
    question = question_of(network, budget, Method.EXACT, accounting, table, choices=choices, latency=latency)
    try:
        check_choices(question.choices, network, accounting.same_bits(network))
    except RequestError:  # no bits are allowed for all of the tensors that share them
        assume(False)
    best = minimum_by_enumeration(network, budget, accounting, table, question.choices, latency)
    solution = fit(question)
    if math.isinf(best):
        assert solution.certificate is not None
        return
    assert solution.allocation is not None
    assert violations(question, solution) == []
    assert solution.objective == pytest.approx(best, rel=1e-9)
    assert solution.gap == pytest.approx(0, abs=1e-9)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(graphs(most=5), st.floats(0.0, 1.0), st.integers(0, 10**6))
def test_the_fewest_cycles_are_those_of_full_enumeration(drawn: Network, share: float, seed: int) -> None:
    network = with_shared_weights(drawn, seed)
    assume(network.weight_owners.sharing)
    assume(len(network.tensors) + len(network.weight_layers) <= MAX_ENUMERATED_TENSORS)
    latency: Latency = random_latency(network, share, seed)
    question = question_of(
        network, UNLIMITED, Method.EXACT, DeployedAccounting(), random_table(network, seed), latency=latency
    )
    free = [tensor for tensor in network.tensors if tensor not in (*network.input_names, *network.outputs)]
    owners = list(dict.fromkeys(network.weight_owners.of.values()))
    scheme = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)
    fewest = min(
        network_cycles(
            network,
            Allocation(
                {name: dict(zip(owners, own, strict=True))[owner] for name, owner in network.weight_owners.of.items()},
                dict.fromkeys(network.tensors, BITS[0]) | dict(zip(free, chosen, strict=True)),
                dict.fromkeys(network.weight_owners.of, scheme),
            ),
            latency.speed,
        )
        for chosen in itertools.product(BITS, repeat=len(free))
        for own in itertools.product(BITS, repeat=len(owners))
    )
    assert minimum_cycles(question).cycles == fewest


def test_the_sensitivities_of_all_readers_are_summed() -> None:
    network = chain("w", "w", "w", None)
    flat: Row = {8: 0.0, 4: 1.0, 2: 2.0}
    rows: dict[str, Row] = {layer.name: flat for layer in network.weight_layers} | {"l3": {8: 0.5, 4: 2.5, 2: 5.0}}
    table = SensitivityTable("given", rows, {tensor: dict.fromkeys(BITS, 0.0) for tensor in network.tensors})
    question = question_of(network, UNLIMITED, Method.EXACT, DeployedAccounting(), table)
    formulation = formulate(problem_of(question), table, question.choices)
    first, count = formulation.activation_count, formulation.weight_count
    costs = dict(
        zip(
            formulation.program.groups[first : first + count],
            (formulation.program.costs[first : first + count] * formulation.cost_unit).tolist(),
            strict=True,
        )
    )
    assert costs["l1"] == pytest.approx([0.5, 4.5, 9.0])
    assert costs["l4"] == pytest.approx([0.0, 1.0, 2.0])
    assert list(costs) == ["l0", "l1", "l4", "fc"]
    solution = fit(question)
    assert solution.objective == 0.5


@pytest.mark.parametrize("method", [Method.MIXPL, Method.MIXPC])
def test_the_rules_cut_a_shared_tensor_for_all_of_its_readers(method: Method) -> None:
    accounting = DeployedAccounting()
    free = fit(question_of(chain("w", "w", None), UNLIMITED, method, accounting))
    # The shared tensor and that of l3 have 4,096 bytes each; the shared one is closer to the input.
    solution = fit(
        question_of(chain("w", "w", None), Budget(int(free.memory.flash_bytes) - 1, 100_000), method, accounting)
    )
    assert solution.allocation is not None
    assert solution.allocation.weight_bits["l1"] == solution.allocation.weight_bits["l2"] < 8
    assert {solution.allocation.schemes[name].folding for name in ("l1", "l2")} == {Folding.ICN}


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(graphs(), chains()),
    st.sampled_from([Method.MIXPL, Method.MIXPC]),
    st.sampled_from(BOOKS),
    st.floats(0.05, 1.1),
    st.floats(0.05, 1.1),
    st.integers(0, 10**6),
)
def test_the_rules_keep_shared_tensors_equal(
    drawn: Network, method: Method, accounting: DeployedAccounting, ram_share: float, flash_share: float, seed: int
) -> None:
    network = with_shared_weights(drawn, seed)
    budget = budget_between(network, accounting, WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, ram_share, flash_share)
    question = question_of(network, budget, method, accounting)
    solution = fit(question)
    assert violations(question, solution) == []
    if solution.certificate is not None and solution.certificate.budget == "flash":
        assert solution.certificate.missing_bytes is not None
        assert solution.certificate.missing_bytes > 0


def test_only_the_deployed_accounting_counts_a_shared_tensor_once() -> None:
    network, alone = chain("w", "w", "w"), chain(None, None, None)
    names = [layer.name for layer in network.weight_layers]
    scheme = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)
    allocation = Allocation(dict.fromkeys(names, 4), dict.fromkeys(network.tensors, 8), dict.fromkeys(names, scheme))
    once, thrice = (measure(each, allocation, DeployedAccounting()) for each in (network, alone))
    assert thrice.flash_bytes - once.flash_bytes == 2 * 64 * 64 / 2
    assert [layer.reuses_weights_of for layer in once.layers] == [None, None, "l1", "l1", None]
    # a row of 3 or 4 codes at 4 bits takes a word
    assert [layer.weight_bytes for layer in once.layers] == [64 * 4, 64 * 64 / 2, 0, 0, 3 * 64 / 2]
    assert [layer.parameter_bytes for layer in once.layers] == [layer.parameter_bytes for layer in thrice.layers]
    by_paper = [measure(each, allocation, PaperAccounting()) for each in (network, alone)]
    assert by_paper[0] == by_paper[1]


def test_the_validator_names_layers_that_share_weights_of_different_bits_and_schemes() -> None:
    network = chain("w", "w")
    question = question_of(network, UNLIMITED, Method.EXACT, DeployedAccounting(), random_table(network, 1))
    solution = fit(question)
    assert solution.allocation is not None
    pact = WeightScheme.PER_LAYER_ASYM_PACT
    changed = replace(
        solution.allocation,
        weight_bits={**solution.allocation.weight_bits, "l1": 4, "l2": 2},
        schemes={**solution.allocation.schemes, "l2": Scheme(pact, Folding.WEIGHTS)},
    )
    broken = violations(question, replace(solution, allocation=changed))
    for what in ("different bits", "different schemes", "fold batch norm"):
        assert any("l1, l2 share" in each and what in each for each in broken)


def test_bits_given_for_one_reader_hold_for_all() -> None:
    network = chain("w", "w", None)
    table = random_table(network, 1)
    options = SolveOptions(allowed_weight_bits={"l2": [4], "*": [8]})
    question = Question(network=network, budget=UNLIMITED, sensitivity=table, options=options)
    solution = fit(question)
    assert solution.allocation is not None
    assert dict(solution.allocation.weight_bits) == {"l0": 8, "l1": 4, "l2": 4, "l3": 8, "fc": 8}


def test_contradicting_bits_of_two_readers_are_refused() -> None:
    network = chain("w", "w")
    options = SolveOptions(allowed_weight_bits={"l1": [4], "l2": [8]})
    question = Question(network=network, budget=UNLIMITED, sensitivity=random_table(network, 1), options=options)
    with pytest.raises(RequestError, match="'l1' and 'l2' share one weight tensor, but no bits"):
        fit(question)


def test_a_question_in_json_keeps_shared_weights() -> None:
    network = chain("w", "w")
    question = question_of(network, UNLIMITED, Method.EXACT, DeployedAccounting(), random_table(network, 1))
    again = question_from_json(question_to_json(question))
    assert again.network.weight_owners == network.weight_owners
