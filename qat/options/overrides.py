"""What single layers do otherwise, put into the allocation. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from network.allocation import Allocation
from network.errors import RequestError
from network.names import shown
from network.network import Network
from qat.options.names import TensorOverride


def overridden(network: Network, allocation: Allocation, overrides: Mapping[str, TensorOverride]) -> Allocation:
    """The allocation with the schemes that single layers have instead; their bits stay. Done twice it changes nothing.

    Raises:
        RequestError: an override for a layer that the network does not have, or one of weights that it has none of.
    """
    schemes = dict(allocation.schemes)
    layers = {layer.name for layer in network.layers}
    for name, override in overrides.items():
        if name not in layers:
            raise RequestError(f"there are overrides for '{shown(name)}', but the network has no such layer")
        if override.weights is None and override.folding is None:
            continue
        if name not in schemes:
            raise RequestError(f"layer '{shown(name)}' has no weights; override its activation_range or range_setting")
        schemes[name] = replace(
            schemes[name],
            weights=override.weights or schemes[name].weights,
            folding=override.folding or schemes[name].folding,
        )
    return replace(allocation, schemes=schemes)
