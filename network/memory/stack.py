"""Bytes of the deepest stack of a network, by the bits of its tensors.

The stack of a path is that of run, the driver of a layer, and one of the functions that the driver calls. Which of them
a driver calls depends on bits: on a core, the function for 2-bit weights may have a larger frame than that for 8-bit
weights. The deepest path of the bits that were chosen counts, rounded up to the 8 bytes to which a program aligns its
stack.

A maximum over the chosen bits is a sum: the stack that all bits need, and what each deeper path adds once.

    stack of all bits        272    the drivers, and for each tensor the path of its shallowest bits
    deeper by a first step    16    if one of the tensors has bits whose path needs 288 bytes or more
    deeper by a second step   64    if one of the tensors has bits whose path needs 352 bytes or more

So the exact program counts it as it counts code: by one variable for each step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from network.allocation import BITS
from network.kernel_functions import RUN_FUNCTION, Form
from network.kernel_sizes.tables import KernelSizes
from network.layers import Layer
from network.memory.accounting import Feature
from network.memory.code import Users, called_functions, driver_function
from network.memory.report import Region, Shared
from network.network import Network

STACK_ALIGNMENT_BYTES: Final = 8
"""Number of bytes of which the stack of a network is a multiple."""

STACK: Final = "stack"
"""Name of the stack in the memory report."""


def stack_of(network: Network, sizes: KernelSizes, forms: Mapping[str, Form]) -> tuple[Shared, tuple[Feature, ...]]:
    """Return the stack that a network needs at all bits, and what it needs in addition if certain bits are in use.

    Args:
        network: The network.
        sizes: Code and stack of each function.
        forms: Name of a layer -> how it requantizes; a missing layer is narrow.

    Raises:
        InvalidNetwork: if the class of a layer is not registered.
    """
    always, paths = sizes.stack_bytes(RUN_FUNCTION), list[tuple[int, Users]]()
    for layer in network.layers:
        alone, own = _paths(network, layer, sizes, forms)
        always = max(always, alone)
        paths += own
    base = _aligned(always)
    rounded = [(_aligned(depth), users) for depth, users in paths]
    levels = sorted({base, *(depth for depth, _ in rounded if depth > base)})
    return Shared(Region.RAM, STACK, base, is_estimate=sizes.is_estimate), tuple(
        Feature(
            Shared(Region.RAM, STACK, level - below, is_estimate=sizes.is_estimate),
            frozenset().union(*(users.weights for depth, users in rounded if depth >= level)),
            frozenset().union(*(users.activations for depth, users in rounded if depth >= level)),
        )
        for below, level in pairwise(levels)
    )


def _paths(
    network: Network, layer: Layer, sizes: KernelSizes, forms: Mapping[str, Form]
) -> tuple[int, list[tuple[int, Users]]]:
    """Return the bytes of stack that a layer needs at all bits, and those that it needs with certain bits.

    At all bits, the layer needs its driver and, for each of its tensors, the shallowest path of all bits.
    """
    driver = driver_function(network, layer, forms)
    above = sizes.functions[RUN_FUNCTION].stack_bytes
    frame = sizes.functions[driver].stack_bytes
    found = [
        (above + frame + sizes.stack_bytes(function), users)
        for function, users in called_functions(network, layer, forms)
    ]
    return max(above + sizes.stack_bytes(driver), *_shallowest(found), 0), found


def _shallowest(paths: list[tuple[int, Users]]) -> Iterator[int]:
    """Yield the stack of the shallowest path of each tensor, of those that have a path for all bits."""
    depths: dict[tuple[str, str], list[int]] = {}
    for depth, users in paths:
        for kind, pairs in (("weights", users.weights), ("activations", users.activations)):
            for name, _ in pairs:
                depths.setdefault((kind, name), []).append(depth)
    yield from (min(each) for each in depths.values() if len(each) == len(BITS))


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // STACK_ALIGNMENT_BYTES) * STACK_ALIGNMENT_BYTES
