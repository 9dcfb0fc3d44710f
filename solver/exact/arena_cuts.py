"""Constraints that forbid bits of tensors for which the arena has no memory plan that is small enough.

The arena never gets smaller if a tensor is added or gets more bits, because a plan without it follows from a plan with
it. There is one exception: with more bits, an output may have the same bits as its input and overwrite it. So a cut
forbids *at least* these bits of a tensor, or *exactly* these bits if the cut also contains a tensor that it may
overwrite or that may overwrite it:

    forbidden together:  a with 8 bits, b with 4 or 8 bits, c and d with exactly 4 bits (d may overwrite c)

The stack leaves less memory for the arena if some tensor has certain bits (`Problem.ram_features`). A cut that was
found with such a stack holds only with this stack or a larger one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from network.allocation import NARROWEST_BITS, Bits
from network.memory.accounting import Accounting
from network.network import Network


@dataclass(frozen=True, slots=True)
class ArenaCut:
    """Bits of some activation tensors that the arena cannot hold together, whatever bits the other tensors have.

    Attributes:
        bits: Name of a tensor -> smallest number of bits that is forbidden.
        exactly: Names of the tensors of `bits` for which more bits are not forbidden.
        is_proven: Whether it is proven that no plan with these bits is small enough. If not, the planner only found
            none.
        ram_features: Names of the RAM features that are all needed where the cut holds.
    """

    bits: Mapping[str, Bits]
    exactly: frozenset[str]
    is_proven: bool
    ram_features: frozenset[str] = frozenset()


def arena_cut(
    order: Network, accounting: Accounting, activation_bits: Mapping[str, Bits], arena_bytes: int
) -> ArenaCut | None:
    """Return a constraint on a few tensors that forbids bits for which the arena is too large; None if it is not.

    Args:
        order: The network, with its layers in schedule order.
        accounting: The accounting that plans the arena.
        activation_bits: Name of each activation tensor -> its bits.
        arena_bytes: Largest size of the arena in bytes.

    Returns:
        The cut; None if the arena holds these bits, or if the accounting makes no plan.
    """
    plan = accounting.arena(order, activation_bits, arena_bytes)
    if plan is None or plan.arena_bytes <= arena_bytes:
        return None
    partners: dict[str, set[str]] = {}  # tensors that may overwrite each other
    for step in accounting.steps(order):
        if step.overwrites is not None:
            partners.setdefault(step.overwrites, set()).add(step.output.tensor)
            partners.setdefault(step.output.tensor, set()).add(step.overwrites)
    fixed = {*order.input_names, *order.outputs}
    bits_now = dict(activation_bits)
    free = [
        tensor
        for tensor, bits in activation_bits.items()
        if tensor not in fixed and (tensor in partners or bits != NARROWEST_BITS)
    ]
    # Remove tensors from the cut as long as the arena stays too large: all of them at once, then halves, quarters, ...
    # A tensor without partners is removed by giving it 2 bits, one with partners by leaving it out of the plan.
    untried = [free]
    while untried:
        tensors = untried.pop()
        fewer = {tensor: bits for tensor, bits in bits_now.items() if tensor not in tensors or tensor not in partners}
        fewer |= dict.fromkeys((tensor for tensor in tensors if tensor not in partners), NARROWEST_BITS)
        smaller = accounting.arena(order, fewer, arena_bytes)
        if smaller is not None and smaller.arena_bytes > arena_bytes:
            bits_now, plan = fewer, smaller
        elif len(tensors) > 1:
            half = len(tensors) // 2
            untried += [tensors[half:], tensors[:half]]
    cut = {tensor: activation_bits[tensor] for tensor in free if bits_now.get(tensor) == activation_bits[tensor]}
    exactly = frozenset(tensor for tensor in cut if any(other in bits_now for other in partners.get(tensor, ())))
    return ArenaCut(cut, exactly, plan.lower_bound_bytes > arena_bytes)
