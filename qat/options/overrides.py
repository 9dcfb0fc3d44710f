"""Quantization schemes that training options set for single layers, written into the bit allocation. This module does
not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from network.allocation import Allocation, Folding
from network.errors import RequestError
from network.names import shown
from network.network import Network
from qat.options.names import TensorOverride


def overridden(network: Network, allocation: Allocation, overrides: Mapping[str, TensorOverride]) -> Allocation:
    """Return a bit allocation with the quantization schemes that overrides set for single layers; the bits stay the
    same.

    Applying the same overrides twice gives the same allocation as applying them once. The scheme of one layer holds for
    all layers that share its weight tensor.

    Args:
        network: The network that the allocation belongs to.
        allocation: The allocation before the overrides.
        overrides: Options that differ for single layers or for the network's input, by the name of the layer or input.

    Raises:
        RequestError: if the network has no layer of that name, a layer without weights has a scheme for weights, or
            the input has options other than those of its range. Also if layers that share a weight tensor have
            different schemes, or batch norm is to be folded into shared weights.
    """
    schemes = dict(allocation.schemes)
    layers = {layer.name for layer in network.layers}
    for name, override in overrides.items():
        if name in network.input_names and name not in layers:
            if override != TensorOverride(
                range_setting=override.range_setting, range_percentile=override.range_percentile
            ):
                raise RequestError(
                    f"'{shown(name)}' is an input of the network, which no layer writes; its override can have "
                    "range_setting and range_percentile only"
                )
            continue
        if name not in layers:
            raise RequestError(
                f"the option overrides names the layer '{shown(name)}', which the network does not have; expected "
                "the names of its layers"
            )
        if override.weights is None and override.folding is None:
            continue
        if name not in schemes:
            raise RequestError(
                f"layer '{shown(name)}' has no weights, but its override has `weights` or `folding`; expected "
                "only activation_range or range_setting: remove the other entries"
            )
        for each in network.weight_owners.sharing.get(network.weight_owners.of[name], (name,)):
            _refuse_contradiction(network, each, name, overrides)
            schemes[each] = replace(
                schemes[each],
                weights=override.weights or schemes[each].weights,
                folding=override.folding or schemes[each].folding,
            )
    return replace(allocation, schemes=schemes)


def _refuse_contradiction(
    network: Network, layer: str, overridden_layer: str, overrides: Mapping[str, TensorOverride]
) -> None:
    """Reject an override of a shared weight tensor that folds batch norm, or that another override contradicts.

    Args:
        network: The network.
        layer: Name of a layer that reads the weight tensor.
        overridden_layer: Name of the layer that the override names.
        overrides: All overrides, by the name of the layer.
    """
    override, other = overrides[overridden_layer], overrides.get(layer)
    if network.weight_owners.is_shared(layer) and override.folding is Folding.WEIGHTS:
        raise RequestError(
            f"the override of '{shown(overridden_layer)}' folds batch norm into weights that other layers read too; "
            "expected folding ICN for shared weights: remove the entry"
        )
    if other is not None and other.weights not in (None, override.weights) and override.weights is not None:
        raise RequestError(
            f"the overrides of '{shown(overridden_layer)}' and '{shown(layer)}' have different `weights`, but the "
            "layers share one weight tensor; expected the same, or an override of one of them"
        )
