"""Choice of the functions that multiply pairs of 2-bit codes, where the flash that they need is left.

A layer whose input and weights have 2 bits can be run by functions that make four products at once
(`network.kernel_functions.Form.PAIRS`). They are faster, and are code of their own beside the functions for other
inputs. Whether they are needed depends on two tensors at once, so the solver chooses bits without them; with the bits
it has chosen, they are used if the network still fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.allocation import NARROWEST_BITS, Allocation
from network.budget import Budget
from network.kernel_functions import Form, calls_dot
from network.kernels import POINTWISE, kernel_of
from network.layers import Convolution, Shape, WeightLayer
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.network import Network

PAIRED_GROUP: Final = 16
"""Number of input codes that the functions for pairs widen at once; each tap of a convolution has whole groups."""

PAIRED_CODES: Final = 4
"""Number of codes in a byte; other layers have whole bytes of codes in a column."""


def layers_for_pairs(network: Network, allocation: Allocation, forms: Mapping[str, Form]) -> tuple[str, ...]:
    """Return the names of the layers that can multiply pairs of 2-bit codes, in schedule order.

    Args:
        network: The network.
        allocation: The bits that were chosen.
        forms: Name of a layer -> how it requantizes; a missing layer is narrow.
    """
    return tuple(
        layer.name
        for layer in network.weight_layers
        if _suits_pairs(layer, network.input_shapes(layer)[0])
        and allocation.weight_bits[layer.name] == allocation.activation_bits[layer.inputs[0]] == NARROWEST_BITS
        and forms.get(layer.name, Form.NARROW) in {Form.NARROW, Form.PAIRS}
    )


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
    pairs = dict.fromkeys(layers_for_pairs(network, allocation, book.forms), Form.PAIRS)
    if not pairs:
        return book
    faster = book.with_forms({**book.forms, **pairs})
    report = measure(network, allocation, faster)
    fits = report.flash_bytes <= budget.flash_bytes and report.ram_bytes <= budget.ram_bytes
    return faster if fits else book


def _suits_pairs(layer: WeightLayer, shape: Shape) -> bool:
    """Return whether the functions for pairs can widen the columns of a layer that reads a tensor of this shape."""
    kernel = kernel_of(layer, shape)
    if not calls_dot(kernel):
        return False
    if isinstance(layer, Convolution) and kernel != POINTWISE:
        return shape.channels // layer.groups % PAIRED_GROUP == 0
    codes = shape.channels if isinstance(layer, Convolution) else shape.elements
    return codes % PAIRED_CODES == 0
