"""Ranges of the activation tensors of a quantized ONNX file, for the tensors of the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from network.layers import Layer
from network.onnx_reading.quantized.parameters import Interval
from network.onnx_reading.translation import Translation
from network.onnx_reading.views import View


def ranges_of(
    translation: Translation, intervals: Mapping[str, Interval], layers: Iterable[Layer], *, input_is_scaled: bool
) -> dict[str, Interval]:
    """Return the ranges of the tensors that are left after the passes.

    If the file quantizes a tensor several times, for several readers, the first quantization counts.

    Args:
        translation: The translation, with the tensor behind each value of the file.
        intervals: Smallest and largest real number of each value that the file quantizes, by name, in file order.
        layers: The layers after the passes.
        input_is_scaled: Whether a scaling was folded into the input format, so that the range of the input changed.

    Returns:
        Name of the tensor -> the lowest and the highest real number that its codes cover in the file.
    """
    found: dict[str, Interval] = {}
    for name, interval in intervals.items():
        value = translation.values.get(name)
        if isinstance(value, View) and not value.after_softmax and value.tensor not in translation.obstructed_tensors:
            found.setdefault(value.tensor, interval)
    kept = [layer.output for layer in layers]
    if not input_is_scaled:
        kept.insert(0, translation.graph.input)
    return {tensor: found[tensor] for tensor in kept if tensor in found and found[tensor][0] < found[tensor][1]}
