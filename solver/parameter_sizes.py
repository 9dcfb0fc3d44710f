"""The size of a layer's parameters as a constant, a term by the bits of its input and one by those of its output.

A search builds the problem of one network for many budgets and orders of its layers, and the size of a layer's
parameters depends on neither. Therefore, each is counted once for each accounting.
"""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from network.allocation import BITS, WIDEST_BITS, Scheme
from network.layers import Layer
from network.memory.accounting import Accounting, LayerBits
from network.network import Network
from network.shapes import Shape
from solver.problem import BITS_PER_BYTE, ParameterSize, sizes_of

_Case = tuple[Scheme | None, bool, tuple[Shape, ...]]
_KNOWN: Final[WeakKeyDictionary[Accounting, WeakKeyDictionary[Layer, dict[_Case, ParameterSize]]]] = WeakKeyDictionary()
"""What was counted, by accounting, layer, scheme, whether the layer is the last one, and the shapes of its inputs."""


def parameter_size(
    accounting: Accounting, network: Network, layer: Layer, scheme: Scheme | None, *, is_last: bool
) -> ParameterSize:
    """Return the size of a layer's parameters, split into a constant and a term for the bits of each side.

    Args:
        accounting: The accounting that counts bytes.
        network: The network that contains the layer.
        layer: The layer.
        scheme: Scheme of the layer's weights; None for a layer without weights.
        is_last: Whether the layer is the last one with weights.

    Raises:
        ValueError: If the size is not a sum of such terms, because the exact program cannot express any other.
    """
    of_layers = _KNOWN.setdefault(accounting, WeakKeyDictionary())
    of_layer = of_layers.setdefault(layer, {})
    case = (scheme, is_last, network.input_shapes(layer))
    known = of_layer.get(case)
    if known is None:
        known = of_layer[case] = _split(accounting, network, layer, scheme, is_last=is_last)
    return known


def _split(
    accounting: Accounting, network: Network, layer: Layer, scheme: Scheme | None, *, is_last: bool
) -> ParameterSize:
    sizes = {
        (read, written): BITS_PER_BYTE
        * accounting.parameter_bytes(network, layer, scheme, LayerBits(read, written), is_last=is_last)
        for read in BITS
        for written in BITS
    }
    constant = sizes[WIDEST_BITS, WIDEST_BITS]
    by_input = sizes_of(lambda bits: sizes[bits, WIDEST_BITS] - constant)
    by_output = sizes_of(lambda bits: sizes[WIDEST_BITS, bits] - constant)
    split = ParameterSize(constant, by_input, by_output)
    if any(each != split.total(read, written) for (read, written), each in sizes.items()):
        raise ValueError(
            f"the accounting counts parameters of layer '{layer.name}' that are not a sum of one term by the bits of "
            "its input and one by the bits of its output; the exact program supports no others"
        )
    return split
