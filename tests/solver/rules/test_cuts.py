"""The rules, compared with a second, naive implementation, and properties of their solutions on any graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.allocation import Folding, WeightScheme
from network.budget import Budget
from network.errors import RequestError
from network.layers import Activation, Add, Shape
from network.memory.accounting import Accounting
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.paper import PaperAccounting
from network.network import Network
from solver.fit import fit
from solver.options import Method, SolveOptions
from solver.rules.max_tree import MaxTree
from solver.validator import violations
from tests.builders import mobilenet_v1, network_of, question_of
from tests.solver.instances import BOOKS, chains, graphs, pointwise
from tests.solver.rules.naive_rules import ChainLayer, activations, parameters, weights

METHODS = st.sampled_from([Method.MIXPL, Method.MIXPC])


@settings(max_examples=400, deadline=None)
@given(chains(), METHODS, st.integers(1, 4000), st.integers(1, 60_000))
def test_chains_have_the_bits_of_the_naive_rules(
    network: Network, method: Method, ram_bytes: int, flash_bytes: int
) -> None:
    layers = [
        ChainLayer(
            network.input_shapes(layer)[0].elements,
            network.shapes[layer.output].elements,
            network.weight_elements(layer),
            layer.output_channels,
        )
        for layer in network.weight_layers
    ]
    solution = fit(question_of(network, Budget(flash_bytes, ram_bytes), method, PaperAccounting()))
    expected_activations = activations(layers, ram_bytes)
    if expected_activations is None:
        assert solution.certificate is not None
        assert solution.certificate.budget == "ram"
        least = max(
            (layer.inputs * (8 if i == 0 else 2) + layer.outputs * (8 if i == len(layers) - 1 else 2)) / 8
            for i, layer in enumerate(layers)
        )
        assert solution.certificate.least_bytes == least
        assert solution.certificate.missing_bytes == least - ram_bytes
        return
    expected_weights = weights(layers, method.value, expected_activations, flash_bytes)
    if expected_weights is None:
        assert solution.certificate is not None
        assert solution.certificate.budget == "flash"
        assert solution.certificate.least_bytes == sum(layer.weights / 4 for layer in layers) + sum(
            parameters(layers, i, method.value, 2, expected_activations[i + 1]) for i in range(len(layers))
        )
        return
    assert solution.allocation is not None
    seen = [
        network.only_input.name,
        *(layer.output for layer in network.weight_layers),
    ]  # the output of a pool has the bits of its input
    assert [solution.allocation.activation_bits[tensor] for tensor in seen] == expected_activations
    assert list(solution.allocation.weight_bits.values()) == expected_weights


@settings(max_examples=300, deadline=None)
@given(graphs(), METHODS, st.sampled_from(BOOKS), st.floats(0.05, 1.1), st.floats(0.05, 1.1))
def test_graphs_get_a_solution_or_a_certificate(
    network: Network, method: Method, accounting: Accounting, ram_share: float, flash_share: float
) -> None:
    whole = fit(question_of(network, Budget(2**30, 2**30), method, accounting))
    assert whole.allocation is not None
    assert set(whole.allocation.weight_bits.values()) == {8}
    assert set(whole.allocation.activation_bits.values()) == {8}
    budget = Budget(
        max(1, int(whole.memory.flash_bytes * flash_share)), max(1, int(whole.memory.ram_bytes * ram_share))
    )
    question = question_of(network, budget, method, accounting)
    solution = fit(question)
    if solution.allocation is not None:
        assert violations(question, solution) == []
        assert solution.memory == measure(network, solution.allocation, accounting)
        return
    assert solution.certificate is not None
    available = budget.ram_bytes if solution.certificate.budget == "ram" else budget.flash_bytes
    assert solution.certificate.available_bytes == available
    assert (solution.certificate.least_bytes or 0) > available


def test_a_tensor_that_waits_for_a_later_layer_counts() -> None:
    """In conv a -> conv b -> conv c -> add(a, c), tensor a waits during c, and the add has three live tensors.

    Each tensor has 4x4x4 = 64 elements. The step of the add has 192 bytes at 8 bits; its output is that of the network
    and keeps 8 bits.
    """
    layers = [
        pointwise("a", "input", 4),
        pointwise("b", "a", 4),
        pointwise("c", "b", 4),
        Add(name="sum", inputs=("a", "c"), output="sum"),
    ]
    network = network_of(layers, Shape(1, 4, 4))
    whole = fit(question_of(network, Budget(10_000, 192), Method.MIXPC, PaperAccounting()))
    assert [step.ram_bytes for step in whole.memory.steps] == [16 + 64, 64 + 64, 64 + 64 + 64, 192]
    assert [step.waiting_bytes for step in whole.memory.steps] == [0, 0, 64, 0]
    # One byte less: in the forward pass, c is cut in its own step (equal bits and bytes, and the output of the step).
    tight = fit(question_of(network, Budget(10_000, 191), Method.MIXPC, PaperAccounting()))
    assert tight.allocation is not None
    assert tight.allocation.activation_bits == {"input": 8, "a": 8, "b": 8, "c": 4, "sum": 8}
    # The add with a and c at 2 bits has 64 + 16 + 16 = 96 bytes, the smallest budget that fits.
    smallest = fit(question_of(network, Budget(10_000, 96), Method.MIXPC, PaperAccounting()))
    assert smallest.allocation is not None
    assert (smallest.allocation.activation_bits["a"], smallest.allocation.activation_bits["c"]) == (2, 2)
    none = fit(question_of(network, Budget(10_000, 95), Method.MIXPC, PaperAccounting()))
    assert none.certificate is not None
    assert (none.certificate.layer, none.certificate.least_bytes, none.certificate.missing_bytes) == ("sum", 96, 1)


def test_more_bits_can_fit_although_the_fewest_do_not() -> None:
    """The ReLU (the network's output, 8 bits) overwrites a (1,024 bytes) at 8 bits.

    With 2 bits, a needs 256 bytes beside those 1,024. The step of a has an input of 256 bytes and 72 of scratch memory.
    """
    network = network_of(
        [pointwise("a", "input", 4), Activation(name="r", inputs=("a",), output="r")],
        Shape(1, 8, 32),
    )
    accounting = DeployedAccounting(in_place=("activation",))
    (stack,) = [each.size_bytes for each in accounting.always_shared(network) if each.part == "stack"]
    for method in Method.MIXPL, Method.MIXPC:
        whole = 256 + 1024 + 72 + stack
        solution = fit(question_of(network, Budget(10**6, whole), method, accounting))
        assert solution.allocation is not None
        assert solution.allocation.activation_bits == {"input": 8, "a": 8, "r": 8}
        assert [step.overwrites for step in solution.memory.steps] == [None, "a"]
        tight = fit(question_of(network, Budget(10**6, 1024 + stack), method, accounting))
        assert tight.certificate is not None
        assert (tight.certificate.layer, tight.certificate.least_bytes) == ("r", 1024 + 256 + stack)


def test_mixpl_folds_only_layers_with_8_bits_of_weights_and_output() -> None:
    network = network_of([pointwise("a", "input", 8), pointwise("b", "a", 8), pointwise("c", "b", 8)], Shape(8, 4, 4))
    # With a at 4 bits, step a has 128 + 64 bytes and fits 200; step b then has 64 + 128 bytes and fits too.
    solution = fit(question_of(network, Budget(10_000, 200), Method.MIXPL, PaperAccounting()))
    assert solution.allocation is not None
    assert solution.allocation.activation_bits == {"input": 8, "a": 4, "b": 4, "c": 8}
    assert [scheme.folding for scheme in solution.allocation.schemes.values()] == [
        Folding.ICN,
        Folding.ICN,
        Folding.WEIGHTS,
    ]
    assert {scheme.weights for scheme in solution.allocation.schemes.values()} == {WeightScheme.PER_LAYER_ASYM_PACT}


@pytest.mark.parametrize("method", [Method.MIXPL, Method.MIXPC])
def test_a_deep_chain_is_solved_in_time(method: Method) -> None:
    """A rule that visits every layer for every cut would make 800 million visits here."""
    layers = [pointwise(f"l{index}", f"l{index - 1}" if index else "input", 4 + index % 7) for index in range(20_000)]
    network = network_of(layers, Shape(4, 2, 2))
    solution = fit(question_of(network, Budget(800_000, 24), method, PaperAccounting()))
    assert solution.allocation is not None or solution.certificate is not None


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=40), st.data())
def test_the_tree_agrees_with_a_linear_search(values: list[int], data: st.DataObject) -> None:
    tree = MaxTree(values)
    for _ in range(10):
        index = data.draw(st.integers(0, len(values) - 1))
        values[index] = data.draw(st.integers(0, 50))
        tree.change(index, values[index])
        assert tree.largest == max(values)
        threshold = data.draw(st.integers(0, max(values)))
        assert tree.leftmost_at_least(threshold) == next(i for i, value in enumerate(values) if value >= threshold)


def test_the_validator_reports_every_broken_rule() -> None:
    network = mobilenet_v1(0.25, 96, 10)
    budget = Budget(150_000, 40_000)
    solution = fit(question_of(network, budget, Method.MIXPL, PaperAccounting()))
    assert solution.allocation is not None
    good = solution.allocation
    tight = Budget(1000, 1000)

    def judged(budget: Budget = budget, method: Method = Method.MIXPL, **changes: object) -> str:
        broken = replace(solution, allocation=type(good)(**{**vars(good), **changes}))
        return "; ".join(violations(question_of(network, budget, method, PaperAccounting()), broken))

    assert judged() == ""
    assert "bytes of flash, but the budget is 1000" in judged(tight)
    assert "bytes of RAM, with the peak at 'conv0', but the budget is 1000" in judged(tight)
    assert "has 5 bits" in judged(weight_bits={**good.weight_bits, "fc": 5})
    assert "'input' is an input or output" in judged(activation_bits={**good.activation_bits, "input": 4})
    pooled = good.activation_bits["conv13_pw_relu6"]
    assert "must have the bits of 'conv13_pw_relu6'" in judged(
        activation_bits={**good.activation_bits, "pool": 2 if pooled != 2 else 4}
    )
    assert "has PerLayerAsymPACT" in judged(method=Method.MIXPC)
    assert "not given for every tensor" in judged(activation_bits={"input": 8})
    assert "weight bits are not given" in judged(weight_bits=dict(reversed(list(good.weight_bits.items()))))


def test_an_unknown_method_is_rejected() -> None:
    with pytest.raises(RequestError, match="method: expected one of: 'exact', 'mixpl' or 'mixpc'; it is 'greedy'"):
        SolveOptions(method="greedy")  # type: ignore[arg-type]  # a caller may pass any text


def test_the_bits_do_not_depend_on_the_values_of_weights() -> None:
    """Element counts are enough: the bits are the same with and without weights."""
    budget = Budget(120_000, 40_000)
    bare = fit(question_of(mobilenet_v1(0.25, 96, 10), budget, Method.MIXPC, PaperAccounting()))
    full = fit(question_of(mobilenet_v1(0.25, 96, 10, seed=1), budget, Method.MIXPC, PaperAccounting()))
    assert bare.allocation == full.allocation
    assert bare.allocation is not None
    assert not np.array_equal(list(bare.allocation.weight_bits.values()), [8] * 28)
