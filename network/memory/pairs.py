"""Choice of the functions that multiply pairs of 2-bit codes, where the flash that they need is left.

A layer whose input and weights have 2 bits can be run by functions that make four products at once
(`network.kernel_functions.Form.PAIRS`). They are faster, and are code of their own beside the functions for other
inputs. Whether they are needed depends on two tensors at once, so the solver chooses bits without them; with the bits
it has chosen, they are used if the network still fits.
"""

from __future__ import annotations

from network.allocation import NARROWEST_BITS, Allocation
from network.budget import Budget
from network.kernel_functions import Form, calls_dot
from network.kernels import kernel_of
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.network import Network


def with_pairs(
    network: Network, allocation: Allocation, book: DeployedAccounting, budget: Budget
) -> DeployedAccounting:
    """Return the accounting of a network that multiplies pairs of 2-bit codes where it can, if it still fits.

    Args:
        network: The network.
        allocation: The bits that were chosen.
        book: The accounting by which they were chosen; its narrow layers may multiply pairs.
        budget: Flash and RAM that the network may use.

    Returns:
        The accounting with these forms; `book` if no layer can multiply pairs, or if the network would not fit.
    """
    pairs = {
        layer.name: Form.PAIRS
        for layer in network.weight_layers
        if calls_dot(kernel_of(layer, network.input_shapes(layer)[0]))
        and allocation.weight_bits[layer.name] == allocation.activation_bits[layer.inputs[0]] == NARROWEST_BITS
        and book.forms.get(layer.name, Form.NARROW) is Form.NARROW
    }
    if not pairs:
        return book
    faster = book.with_forms({**book.forms, **pairs})
    report = measure(network, allocation, faster)
    fits = report.flash_bytes <= budget.flash_bytes and report.ram_bytes <= budget.ram_bytes
    return faster if fits else book
