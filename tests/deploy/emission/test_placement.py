"""The plan of the arena that the C files follow: what is in use at the same time does not overlap."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy.emission.placement import Placement, Region, memory_map, placement_of
from deploy.integer_network import IntegerConvolution, IntegerNetwork, IntegerTensor
from deploy.structure import structure_of
from network.kernels import IN_PLACE_KERNELS
from network.layers import Shape
from network.memory.deployed import DeployedAccounting
from tests.deploy.random_networks import Builder, builders


def placed(network: IntegerNetwork, *, in_place: bool = False, reuses_input: bool = True) -> Placement:
    accounting = DeployedAccounting(in_place=IN_PLACE_KERNELS if in_place else (), reuses_input=reuses_input)
    return placement_of(*structure_of(network), accounting)


def lies_over(placement: Placement, one: Region, other: Region) -> bool:
    """Return whether a tensor overwrites another, or a tensor that overwrites the other."""
    if other.is_scratch:
        return False
    below = one.overwrites
    while below is not None and below != other.name:
        below = placement.tensors[below].overwrites
    return below is not None


@settings(deadline=None, max_examples=60)
@given(builders(), st.booleans(), st.booleans())
def test_nothing_in_use_overlaps(builder: Builder, in_place: bool, reuses_input: bool) -> None:
    assume(any(isinstance(layer, IntegerConvolution) for layer in builder.layers))
    placement = placed(builder.network(), in_place=in_place, reuses_input=reuses_input)
    regions = (*placement.tensors.values(), *placement.scratch.values())
    for each in regions:
        assert each.offset_bytes % 4 == 0
        assert each.offset_bytes + each.size_bytes <= placement.arena_bytes
    for one, other in itertools.combinations(regions, 2):
        is_apart = one.last_step < other.first_step or other.last_step < one.first_step
        is_beside = (
            one.offset_bytes + one.size_bytes <= other.offset_bytes
            or other.offset_bytes + other.size_bytes <= one.offset_bytes
        )
        if lies_over(placement, one, other) or lies_over(placement, other, one):
            assert one.offset_bytes == other.offset_bytes
        else:
            assert is_apart or is_beside, (one, other)


@settings(deadline=None, max_examples=30)
@given(builders(), st.booleans())
def test_the_caller_reads_outputs_and_kept_inputs_at_the_end(builder: Builder, reuses_input: bool) -> None:
    assume(any(isinstance(layer, IntegerConvolution) for layer in builder.layers))
    network = builder.network()
    placement = placed(network, in_place=True, reuses_input=reuses_input)
    assert all(placement.is_intact(name) for name in network.outputs)
    assert reuses_input or all(placement.is_intact(name) for name in network.input_names)


def test_the_memory_map() -> None:
    builder = Builder(np.random.default_rng(0), Shape(8, 1, 1), 8)
    builder.convolution("input", 8, (1, 1))
    builder.add("convolution0")
    builder.tensors |= {name: IntegerTensor(name, Shape(8), 8, 1.0, 0) for name in ("convolution0", "add1")}
    placement = placed(builder.network(), in_place=True)
    assert placement.tensors["add1"].overwrites == "convolution0"
    assert not placement.is_intact("convolution0")
    lines = [line.split() for line in memory_map(placement).splitlines()]
    assert lines[0] == ["offset", "bytes", "steps", "content"]
    found = {" ".join(line[2:]): int(line[1]) for line in lines[1:]}
    assert found == {
        "1 input": 8,
        "1 to 2 convolution0": 8,
        "1 scratch of convolution0": 4 * 16 + 2 * 8,
        "2 add1, over convolution0": 8,
    }
