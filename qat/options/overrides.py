"""Quantization schemes that training options set for single layers, written into the bit allocation. This module does
not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from network.allocation import Allocation
from network.errors import RequestError
from network.names import shown
from network.network import Network
from qat.options.names import TensorOverride


def overridden(network: Network, allocation: Allocation, overrides: Mapping[str, TensorOverride]) -> Allocation:
    """Return a bit allocation with the quantization schemes that overrides set for single layers; the bits stay the
    same.

    Applying the same overrides twice gives the same allocation as applying them once.

    Args:
        network: The network that the allocation belongs to.
        allocation: The allocation before the overrides.
        overrides: Options that differ for single layers or for the network's input, by the name of the layer or input.

    Raises:
        RequestError: if the network has no layer of that name, a layer without weights has a scheme for weights, or
            the input has options other than those of its range.
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
        schemes[name] = replace(
            schemes[name],
            weights=override.weights or schemes[name].weights,
            folding=override.folding or schemes[name].folding,
        )
    return replace(allocation, schemes=schemes)
