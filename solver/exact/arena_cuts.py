"""The cut that forbids bits which no arena holds, though every step alone would keep its limit.

What an arena needs never shrinks when a tensor is added, or gets more bits: a plan with it is one without it. One thing
breaks that rule: more bits can let an output lie on its input. So a cut speaks of *at least* these bits where no such
pair is in it, and of *exactly* these bits where both tensors of a pair are:

    cut     a at 8 bits or more, b at 4 or more; c and d, which c's reader writes, at 4 each: not all of these at once
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from network.allocation import NARROWEST_BITS, Bits
from network.memory.accounting import Accounting
from network.network import Network


@dataclass(frozen=True, slots=True)
class ArenaCut:
    """Tensors, with their bits, that the arena does not hold together, whatever bits the others have.

    Attributes:
        bits: tensor -> bits, or more.
        exactly: those of them of which more bits are not forbidden.
        is_proven: no plan of these bits is small enough; else the planner knows of none.
    """

    bits: Mapping[str, Bits]
    exactly: frozenset[str]
    is_proven: bool


def arena_cut(
    order: Network, accounting: Accounting, activation_bits: Mapping[str, Bits], arena_bytes: int
) -> ArenaCut | None:
    """The cut that forbids these bits in this order; None if an arena of this size holds them."""
    plan = accounting.arena(order, activation_bits, arena_bytes)
    if plan is None or plan.arena_bytes <= arena_bytes:
        return None
    partners: dict[str, set[str]] = {}
    for step in accounting.steps(order):
        if step.overwrites is not None:
            partners.setdefault(step.overwrites, set()).add(step.output.tensor)
            partners.setdefault(step.output.tensor, set()).add(step.overwrites)
    kept = {order.input, *order.outputs}
    bits_now = dict(activation_bits)
    free = [
        tensor
        for tensor, bits in activation_bits.items()
        if tensor not in kept and (tensor in partners or bits != NARROWEST_BITS)
    ]
    # What the rest does without: all of them at once, then halves, quarters, single ones.
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
