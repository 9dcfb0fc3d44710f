"""Ranges of the activation tensors of a quantized ONNX file, for the tensors of the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from network.layers import Layer
from network.network_input import NetworkInput
from network.onnx_reading.quantized.parameters import Interval
from network.onnx_reading.translation import Translation
from network.onnx_reading.views import View


def ranges_of(
    translation: Translation,
    intervals: Mapping[str, Interval],
    inputs: Iterable[NetworkInput],
    layers: Iterable[Layer],
) -> dict[str, Interval]:
    """Return the ranges of the tensors that are left after the passes.

    If the file quantizes a tensor several times, for several readers, the first quantization counts.

    Args:
        translation: The translation, with the tensor behind each value of the file.
        intervals: Smallest and largest real number of each value that the file quantizes, by name, in file order.
        inputs: The inputs. The range of one whose format has a scaling is left out, because the scaling changes it.
        layers: The layers after the passes.

    Returns:
        Name of the tensor -> the lowest and the highest real number that its codes cover in the file.
    """
    found: dict[str, Interval] = {}
    for name, interval in intervals.items():
        value = translation.values.get(name)
        if isinstance(value, View) and not value.after_softmax and value.tensor not in translation.obstructed_tensors:
            found.setdefault(value.tensor, interval)
    kept = [each.name for each in inputs if each.format.is_normalised_already]
    kept += [layer.output for layer in layers]
    return {tensor: found[tensor] for tensor in kept if tensor in found and found[tensor][0] < found[tensor][1]}
