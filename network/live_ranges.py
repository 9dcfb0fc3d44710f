"""Live ranges: the steps of a schedule during which each activation tensor must stay in memory.

Step i runs layer i. A tensor is alive from the step that writes it to the last step that reads it. A live range is a
half-open `range`: `range(start, stop)` contains the first and the last of these steps, so the last reader of a tensor
runs in step `stop - 1`, and the memory is free for another tensor from step `stop` on.

    step   layer               live ranges       0   1   2   3
    0      a   = conv(input)   input  (0, 3)     #   #   #
    1      b   = conv(a)       a      (0, 2)     #   #
    2      sum = b + input     b      (1, 3)         #   #
    3      fc  = fc(sum)       sum    (2, 4)             #   #
                               fc     (3, 4)                 #

Every input of the network is alive from step 0, its outputs to the end. With `reuses_input=False`, the inputs too are
alive to the end: above, the range of the input is then (0, 4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from network.network import Network


class ScheduledLayer(Protocol):
    """Interface of a layer, of a float or integer-only network, that reads and writes tensors by name."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors that a layer reads."""
        ...

    @property
    def output(self) -> str:
        """Name of the tensor that a layer writes."""
        ...


def live_ranges_of(
    layers: Sequence[ScheduledLayer], given: Iterable[str], kept: Collection[str] = ()
) -> dict[str, range]:
    """Return the live range, in steps of the schedule, of every tensor that the given layers read or write.

    Args:
        layers: The layers in schedule order; the layer at index i runs in step i.
        given: Names of the tensors that exist before the first step.
        kept: Names of the tensors that must exist after the last step.

    Returns:
        Name of each tensor -> its live range, in the order in which the tensors are written. A given tensor without
        reader has an empty range; any other tensor without reader is alive during the step that writes it.
    """
    start = dict.fromkeys(given, 0)
    stop = dict.fromkeys(start, 0)
    for step, layer in enumerate(layers):
        start.setdefault(layer.output, step)
        for tensor in (*layer.inputs, layer.output):
            stop[tensor] = step + 1
    return {tensor: range(first, len(layers) if tensor in kept else stop[tensor]) for tensor, first in start.items()}


def live_ranges(network: Network, *, reuses_input: bool = True) -> Mapping[str, range]:
    """Return the live range, in steps of the schedule, of every activation tensor of a network.

    Args:
        network: The network, with its layers in schedule order.
        reuses_input: Whether the memory of each input of the network is free after the last layer that reads it. An
            input without reader is alive to the end.

    Returns:
        Name of each tensor -> its live range, in the order of `network.tensors`.
    """
    read = {tensor for layer in network.layers for tensor in layer.inputs} if reuses_input else set()
    kept = {*network.outputs, *(name for name in network.input_names if name not in read)}
    return live_ranges_of(network.layers, network.input_names, kept)
