"""Weight codes that several layers of an integer-only network read, and that flash stores once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from deploy.counterparts import fault
from deploy.integer_network import IntegerConvolution, IntegerLayer


def check_shared_weights(layers: Iterable[IntegerLayer]) -> None:
    """Reject layers that share weights with a layer that does not store the same ones.

    Args:
        layers: The layers in schedule order.

    Raises:
        ConversionError: if the other layer is not an earlier layer of the same kind that stores its own weights, with
            the same number of bits, groups and codes.
    """
    storing: dict[str, IntegerConvolution] = {}
    for layer in layers:
        if not isinstance(layer, IntegerConvolution):
            continue
        if layer.shares_weights_of is None:
            storing[layer.name] = layer
            continue
        owner = storing.get(layer.shares_weights_of)
        if owner is None:
            raise fault(
                layer,
                f"shares the weights of '{layer.shares_weights_of}'; expected an earlier layer that stores its weights",
            )
        if layout_of(layer) != layout_of(owner) or not _has_same_codes(layer, owner):
            raise fault(
                layer,
                f"shares the weights of '{owner.name}', but they differ in kind, shape, bits, groups or codes; "
                "expected the same",
            )


def layout_of(layer: IntegerConvolution) -> tuple[str, tuple[int, ...], int, int]:
    """Return what decides how the weights of a layer are packed: kind, shape of the codes, bits and groups."""
    return layer.kind, layer.codes.shape, layer.weight_bits, layer.groups


def _has_same_codes(layer: IntegerConvolution, owner: IntegerConvolution) -> bool:
    return layer.codes is owner.codes or bool(np.array_equal(layer.codes, owner.codes))
