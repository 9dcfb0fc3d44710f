"""Host steps, host graph and starting ranges of a network in a JSON description."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

from network.host_graph import MAX_HOST_GRAPH_BYTES, MAX_HOST_RANK, MAX_HOST_READS, HostGraph, HostRead
from network.host_steps import HostSteps
from network.json_reading.fields import Fields
from network.names import is_name
from network.network import Network

_MAX_BASE64_LENGTH: Final = -(-MAX_HOST_GRAPH_BYTES // 3) * 4


def read_host_steps(whole: Fields) -> Iterator[HostSteps]:
    """Yield the host steps of a network from the optional field `host_steps`."""
    entries = whole.raw("host_steps", [])
    if not isinstance(entries, list):
        raise whole.refused("host_steps", "a list of objects")
    for index, entry in enumerate(entries):
        given = Fields(entry, f"host_steps[{index}] of the network", ("output", "tensors", "operators"))
        yield HostSteps(given.text("output"), given.texts("tensors", ()), given.texts("operators", ()))


def read_host_graph(whole: Fields) -> HostGraph | None:
    """Return the host graph of a network from the optional field `host_graph`.

    Raises:
        InvalidNetwork: If the field is invalid, or if its model is larger than `MAX_HOST_GRAPH_BYTES`.
    """
    if "host_graph" not in whole:
        return None
    given = whole.child("host_graph", ("reads", "outputs", "onnx_base64"))
    reads = given.raw("reads")
    if not isinstance(reads, list) or len(reads) > MAX_HOST_READS:
        raise given.refused("reads", f"a list of at most {MAX_HOST_READS} objects")
    encoded = given.raw("onnx_base64", "")
    expected = f"base64 of at most {MAX_HOST_GRAPH_BYTES} bytes"
    if not isinstance(encoded, str) or len(encoded) > _MAX_BASE64_LENGTH:
        raise given.refused("onnx_base64", expected)
    try:
        model = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise given.refused("onnx_base64", expected) from error
    given.raw("outputs")  # it is required
    return HostGraph(tuple(map(_read, reads)), given.texts("outputs", ()), model)


def _read(entry: object) -> HostRead:
    fields = Fields(entry, "a read of the host graph", ("value", "tensor", "dims", "channels_last", "is_sample"))
    return HostRead(
        fields.text("value"),
        fields.text("tensor"),
        fields.integers("dims", tuple(range(MAX_HOST_RANK + 1))),
        channels_last=fields.flag("channels_last", default=False),
        is_sample=fields.flag("is_sample", default=False),
    )


def read_ranges(whole: Fields) -> dict[str, tuple[float, float]]:
    """Return the starting ranges from the optional field `ranges`: name of a tensor -> [lowest, highest]."""
    if "ranges" not in whole:
        return {}
    given = whole.child("ranges")
    ranges = {}
    for tensor in whole.raw("ranges"):
        numbers = given.numbers(tensor) if is_name(tensor) else ()
        if len(numbers) != 2:
            raise whole.refused("ranges", "an object of tensor names with two numbers each")
        ranges[tensor] = (numbers[0], numbers[1])
    return ranges


def write_host(network: Network, *, with_weights: bool) -> dict[str, Any]:
    """Return the JSON fields of a network's host steps, host graph and starting ranges; fields without content are
    left out.

    Args:
        network: The network to describe.
        with_weights: Whether the host graph, whose model has constants, is written.
    """
    written: dict[str, Any] = {}
    if network.ranges:
        written["ranges"] = {tensor: list(ends) for tensor, ends in network.ranges.items()}
    if network.host_steps:
        written["host_steps"] = [asdict(steps) for steps in network.host_steps]
    if network.host_graph is not None and with_weights:
        written["host_graph"] = write_host_graph(network.host_graph)
    return written


def write_host_graph(graph: HostGraph) -> dict[str, Any]:
    """Return the JSON object that `read_host_graph` reads."""
    return {
        "reads": [asdict(read) for read in graph.reads],
        "outputs": list(graph.outputs),
        "onnx_base64": base64.b64encode(graph.model).decode(),
    }
