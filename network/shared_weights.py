"""Weight tensors that several layers read: which layer stores each, and which layers can share one.

Layers share a weight tensor if they have the same `shared_weight`. A microcontroller stores it once, so all of them
must read the same numbers in the same layout: the same kind of layer, the same shape and number of groups, for a fully
connected layer also the same shape of its input (weights are stored in the order height, width, channel), and the same
values. Bias, batch norm, stride, padding and activation function belong to each layer and may differ.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from network.base_layer import Float32Array, Layer, WeightLayer
from network.errors import InvalidNetwork
from network.shapes import Shape

Layout = tuple[object, ...]


@dataclass(frozen=True)
class WeightOwners:
    """The layers of a network that store a weight tensor, and the layers that share it.

    The owner of a weight tensor is the first layer in schedule order that reads it.

    Attributes:
        of: Name of each layer with weights -> name of the owner of its weight tensor: the layer itself, unless it
            shares the weights of an earlier one.
        sharing: Name of each owner whose weight tensor is shared -> names of all layers that read it, the owner first.
    """

    of: Mapping[str, str]
    sharing: Mapping[str, tuple[str, ...]]

    @classmethod
    def among(cls, layers: Iterable[Layer]) -> WeightOwners:
        """Find the owners of the weight tensors of a network's layers.

        Args:
            layers: The layers in schedule order.
        """
        first: dict[str, str] = {}
        readers: dict[str, list[str]] = {}
        owners: dict[str, str] = {}
        for layer in layers:
            if isinstance(layer, WeightLayer):
                name = layer.shared_weight
                owner = owners[layer.name] = layer.name if name is None else first.setdefault(name, layer.name)
                readers.setdefault(owner, []).append(layer.name)
        sharing = {owner: tuple(names) for owner, names in readers.items() if len(names) > 1}
        return cls(MappingProxyType(owners), MappingProxyType(sharing))

    def stores(self, layer: str) -> bool:
        """Return whether a layer with weights is the owner of its weight tensor, given the layer's name."""
        return self.of[layer] == layer

    def is_shared(self, layer: str) -> bool:
        """Return whether several layers read the weight tensor of a layer with weights, given the layer's name."""
        return self.of[layer] in self.sharing


def check_shared_weights(layers: Iterable[Layer], shapes: Mapping[str, Shape]) -> None:
    """Reject layers that share a weight tensor although its layout or its values differ between them.

    Args:
        layers: The layers in schedule order.
        shapes: Name of each activation tensor -> its shape.

    Raises:
        InvalidNetwork: if two layers that share a weight tensor read it in different layouts, or with different values.
    """
    first: dict[str, WeightLayer] = {}
    for layer in layers:
        if not isinstance(layer, WeightLayer) or layer.shared_weight is None:
            continue
        owner = first.setdefault(layer.shared_weight, layer)
        for what, is_same in (
            ("layouts", _layout(layer, shapes) == _layout(owner, shapes)),
            ("values", _has_same_values(layer, owner)),
        ):
            if not is_same:
                raise InvalidNetwork(
                    f"the layers '{owner.name}' and '{layer.name}' share the weight tensor '{layer.shared_weight}', "
                    f"but their weights have different {what}; expected the same, or two weight tensors"
                )


def with_shared_weights(layers: Iterable[Layer], shapes: Mapping[str, Shape]) -> tuple[Layer, ...]:
    """Let the layers share a weight tensor whose weights come from one tensor of a file and are still the same.

    Requires: `shared_weight` of each layer is the name of the tensor in the file that its weights come from, or None.
    All passes that change weights have run.
    Ensures: Layers share a weight tensor if and only if their weights come from the same tensor of the file and have
    the same layout and values. Weights that two layers transpose or scale differently are two weight tensors.
    `shared_weight` is the name of the first of these layers; their weights are one array.

    Args:
        layers: The layers in schedule order.
        shapes: Name of each activation tensor -> its shape.
    """
    layers = tuple(layers)
    readers = Counter(layer.shared_weight for layer in layers if isinstance(layer, WeightLayer))
    first: dict[tuple[str, Layout, bytes], WeightLayer] = {}
    owners: dict[str, WeightLayer] = {}
    for layer in layers:
        if isinstance(layer, WeightLayer) and layer.shared_weight is not None and readers[layer.shared_weight] > 1:
            # By a digest, because a file can have many layers whose weights come from one tensor and all differ.
            key = (layer.shared_weight, _layout(layer, shapes), _digest(layer))
            owner = first.setdefault(key, layer)
            if owner is not layer:
                owners[layer.name] = owners[owner.name] = owner
    return tuple(
        _read_from(layer, owners.get(layer.name)) if isinstance(layer, WeightLayer) else layer for layer in layers
    )


def with_given_weights(layers: Iterable[Layer], most_elements: int) -> tuple[Layer, ...]:
    """Give the layers that share a weight tensor its values, if only some of the layers have them.

    Args:
        layers: The layers; of those with the same `shared_weight`, each has the values of the weights or None.
        most_elements: Largest number of elements that the layers which get values may read together. It keeps the time
            to check and to measure the weights in proportion to the size of a file.

    Raises:
        InvalidNetwork: if these layers read more elements.
    """
    layers = tuple(layers)
    elements = 0
    given: dict[str, Float32Array] = {}
    for layer in layers:
        if isinstance(layer, WeightLayer) and layer.shared_weight is not None and layer.weight is not None:
            given.setdefault(layer.shared_weight, layer.weight)
    filled: list[Layer] = []
    for layer in layers:
        weight = given.get(layer.shared_weight or "") if isinstance(layer, WeightLayer) else None
        if isinstance(layer, WeightLayer) and layer.weight is None and weight is not None:
            elements += weight.size
            if elements > most_elements:
                raise InvalidNetwork(
                    f"layer '{layer.name}' increases the elements that layers read from shared weights to {elements}; "
                    f"expected at most {most_elements} for a file of this size"
                )
            filled.append(replace(layer, weight=weight))
        else:
            filled.append(layer)
    return tuple(filled)


def _read_from(layer: WeightLayer, owner: WeightLayer | None) -> WeightLayer:
    """Return a layer that reads the weights of another layer, or of its own if that is None."""
    if owner is None:
        return layer if layer.shared_weight is None else replace(layer, shared_weight=None)
    return replace(layer, weight=owner.weight, shared_weight=owner.name)


def _layout(layer: WeightLayer, shapes: Mapping[str, Shape]) -> Layout:
    """Return what decides in which order the weights of a layer are stored."""
    inputs = tuple(shapes[tensor] for tensor in layer.inputs)
    return (layer.kind, layer.weight_shape(inputs), *layer.weight_layout(inputs))


def _digest(layer: WeightLayer) -> bytes:
    """Return a digest of the values of a layer's weights; empty if they are unknown."""
    return b"" if layer.weight is None else hashlib.sha256(np.ascontiguousarray(layer.weight).data).digest()


def _has_same_values(layer: WeightLayer, other: WeightLayer) -> bool:
    """Return whether the weights of two layers have the same values, or are unknown for both."""
    if layer.weight is other.weight:
        return True
    if layer.weight is None or other.weight is None:
        return False
    return bool(np.array_equal(layer.weight, other.weight))
