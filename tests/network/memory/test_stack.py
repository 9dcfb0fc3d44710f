"""The deepest stack of the chosen bits, beside the deepest path of the functions that each layer then calls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.allocation import BITS, NARROWEST_BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.kernel_functions import Form, driver_of, functions_of, is_depthwise_3x3
from network.kernel_sizes.tables import FunctionSize, KernelSizes, Optimization, measured_cores, sizes_for
from network.kernels import kernel_of
from network.layers import Convolution, Shape, WeightLayer
from network.memory.accounting import shared_memory
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.report import Region
from network.network import Network
from tests.builders import network_of
from tests.solver.instances import chains, graphs, pointwise

SCHEME = Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN)


def allocation_of(network: Network, seed: int) -> Allocation:
    """Random bits of every tensor."""
    rng = np.random.default_rng(seed)

    def some() -> Bits:
        return BITS[rng.integers(len(BITS))]

    layers = [layer.name for layer in network.weight_layers]
    return Allocation(
        {name: some() for name in layers}, {name: some() for name in network.tensors}, dict.fromkeys(layers, SCHEME)
    )


def deepest(network: Network, allocation: Allocation, sizes: KernelSizes, forms: dict[str, Form]) -> int:
    """The stack of run, and of each driver with each function that it calls at the bits of the allocation."""
    run = sizes.functions["bb_run"].stack_bytes
    found = [run]
    for layer in network.layers:
        kernel = kernel_of(layer, network.input_shapes(layer)[0])
        is_3x3 = isinstance(layer, Convolution) and is_depthwise_3x3(
            layer.kernel, layer.stride, layer.dilation, layer.output_channels // layer.groups
        )
        form = forms.get(layer.name, Form.NARROW)
        bits = allocation.activation_bits
        weight_bits = allocation.weight_bits[layer.name] if isinstance(layer, WeightLayer) else None
        found.append(run + sizes.stack_bytes(driver_of(kernel, form, is_3x3=is_3x3)))
        driver, *called = functions_of(
            kernel, bits[layer.inputs[0]], weight_bits, bits[layer.output], form, is_3x3=is_3x3
        )
        found += [run + sizes.functions[driver].stack_bytes + sizes.stack_bytes(each) for each in called]
    return -(-max(found) // 8) * 8


def stack_bytes(network: Network, allocation: Allocation, book: DeployedAccounting) -> int:
    """The one part of RAM in the list of shared memory."""
    (stack,) = [each for each in shared_memory(network, allocation, book) if each.region is Region.RAM]
    assert stack.part == "stack"
    return stack.size_bytes


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(chains(), graphs()),
    st.sampled_from(measured_cores()),
    st.sampled_from(Optimization),
    st.sampled_from((Form.NARROW, Form.WIDE, Form.THRESHOLDS)),
    st.integers(0, 10**6),
)
def test_the_stack_is_that_of_the_deepest_path_of_the_chosen_bits(
    network: Network, core: str, optimization: Optimization, form: Form, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    forms = {layer.name: form for layer in network.weight_layers if rng.random() < 0.5}
    sizes = sizes_for(core, optimization)
    for number in range(5):
        allocation = allocation_of(network, seed + number)
        book = DeployedAccounting(sizes, forms=forms)
        assert stack_bytes(network, allocation, book) == deepest(network, allocation, sizes, forms)


def test_pairs_have_the_stack_of_their_own_functions() -> None:
    network = network_of([pointwise("a", "input", 8), pointwise("b", "a", 8)], Shape(8, 4, 4))
    allocation = replace(allocation_of(network, 1), weight_bits={"a": 8, "b": NARROWEST_BITS})
    allocation = replace(allocation, activation_bits={**allocation.activation_bits, "a": NARROWEST_BITS})
    sizes, forms = sizes_for("cortex-m4"), {"b": Form.PAIRS}
    paired = stack_bytes(network, allocation, DeployedAccounting(sizes, forms=forms))
    assert paired == deepest(network, allocation, sizes, forms)
    assert paired > stack_bytes(network, allocation, DeployedAccounting(sizes))


@pytest.mark.parametrize(("bits", "expected"), [(8, 8 + 40 + 24), (4, 8 + 40 + 40), (2, 8 + 40 + 88)])
def test_a_maximum_is_a_sum_by_hand(bits: Bits, expected: int) -> None:
    """Three bits of weights have paths of three depths: one stack for all, and two that are added."""
    table = sizes_for("cortex-m4")
    frames = {
        "bb_run": 8, "bb_pointwise": 40, "bb_dot2_8": 20, "bb_dot2_4": 40, "bb_dot2_2": 88, "bb_widen_8": 4,
        "bb_widen_4": 4, "bb_widen_2": 4, "bb_pack_4": 4, "bb_pack_2": 4,
    }  # fmt: skip
    functions = {name: FunctionSize(100, frames.get(name, 500)) for name in table.functions}
    book = DeployedAccounting(replace(table, functions=functions))
    network = network_of([pointwise("a", "input", 8), pointwise("b", "a", 8)], Shape(8, 4, 4))
    allocation = replace(allocation_of(network, 1), weight_bits={"a": 8, "b": bits})
    ram = [each for each in book.features(network) if each.shared.region is Region.RAM]
    assert [each.shared.size_bytes for each in ram] == [16, 48]
    assert [each.weights for each in ram] == [
        frozenset((name, each) for name in "ab" for each in which) for which in ((4, 2), (2,))
    ]
    assert stack_bytes(network, allocation, book) == expected
    report = measure(network, allocation, book)
    assert report.arena is not None
    assert report.ram_bytes == report.arena.arena_bytes + expected
