"""Inputs of a graph: which of them can be read, and the batch that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx

from network.errors import InvalidNetwork, NetworkError, UnsupportedOperator
from network.network_input import MAX_INPUTS
from network.onnx_reading.graph import GraphInput
from network.onnx_reading.views import image_shape


@dataclass(frozen=True, slots=True)
class FoundInputs:
    """Inputs of a graph.

    Attributes:
        inputs: The inputs that can be read, one or more.
        unreadable: Name of each further input -> the reason why it cannot be read.
    """

    inputs: tuple[GraphInput, ...]
    unreadable: Mapping[str, str]


def inputs_of(
    values: Sequence[onnx.ValueInfoProto],
    dims_of: Callable[[onnx.ValueInfoProto], tuple[int | None, tuple[int, ...], bool]],
) -> FoundInputs:
    """Return the inputs of a graph.

    Of several inputs, some may have a batch of 1 and others a first dimension of another fixed extent, such as the
    state of a streaming network. The first dimension of the latter is then a part of the sample.

    Args:
        values: The graph inputs on which an output depends.
        dims_of: Function that returns the extent of the batch of an input, None if it is open, the extents of one
            sample, and whether the first dimension is a batch.

    Raises:
        UnsupportedOperator: If no input can be read, if there are too many, or if the inputs have different batches.
        InvalidNetwork: If there is no input, or if the only one has an extent below 1.
    """
    if not values:
        raise InvalidNetwork(
            "the graph has no input on which an output depends; expected one: export the network again"
        )
    if len(values) > MAX_INPUTS:
        raise UnsupportedOperator(f"the graph has {len(values)} inputs; expected at most {MAX_INPUTS}")
    found: list[GraphInput] = []
    unreadable: dict[str, NetworkError] = {}
    for value in values:
        try:
            batch, dims, has_batch = dims_of(value)
        except NetworkError as error:
            unreadable[value.name] = error
        else:
            found.append(GraphInput(value.name, dims, batch, has_batch))
    if not found:
        raise next(iter(unreadable.values()))
    batches = {each.batch for each in found if each.batch is not None}
    if len(batches) > 1 and 1 in batches:
        found = [each.without_batch() for each in found]
        batches = {1}
    if len(batches) > 1:
        raise UnsupportedOperator(
            f"the inputs {', '.join(repr(each.name[:80]) for each in found[:5])} have different batches, "
            f"{' and '.join(map(str, sorted(batches)))}; expected the same first dimension: export the network with a "
            "batch of 1"
        )
    for each in found if len(values) > 1 else ():
        if image_shape(each.dims) is None:
            unreadable[each.name] = UnsupportedOperator(
                f"input '{each.name[:80]}' has the dimensions {list(each.dims)} behind the batch; expected 1 to 3: a "
                "vector, a sequence or an image"
            )
    found = [each for each in found if each.name not in unreadable]
    return FoundInputs(tuple(found), {name: str(error) for name, error in unreadable.items()})
