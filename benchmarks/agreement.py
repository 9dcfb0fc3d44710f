"""Agreement of a float network, as it was read, with what another runtime computes with the network's file."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import torch

from benchmarks.litert_reference import LiteRTReference, with_bias_axes_mended
from benchmarks.onnx_reference import OnnxReference
from benchmarks.reference import Array, IncomparableFile
from network.errors import InvalidNetwork
from network.joined_samples import joined_dims, joined_input
from network.layers import ActivationFunction, Layer
from network.network import Network
from qat.float_network import FloatNetwork

SAMPLES: Final = 8
"""Number of random input samples of each comparison."""

SEED: Final = 0

_JSON_SPACE: Final = b" \t\r\n"
_UTF8_MARK: Final = b"\xef\xbb\xbf"


def share_of_range(expected: Array, found: Array) -> float:
    """Return the largest difference of two arrays as a share of the range of the expected values.

    The range is the difference between the largest and the smallest value; if all values are equal, it is their
    magnitude, and 1 if they are all 0.
    """
    spread = float(expected.max() - expected.min()) or float(abs(expected).max()) or 1.0
    return float(abs(expected - found).max()) / spread


def snr_db(expected: Array, found: Array) -> float:
    """Return the signal-to-noise ratio of the found values in dB; infinite if they equal the expected values."""
    noise = float(np.square(expected - found).sum())
    return float("inf") if noise == 0 else float(10 * np.log10(float(np.square(expected).sum()) / noise))


def saturated(network: Network) -> Network:
    """Return the network with each tensor clamped to its range in the quantized file, as the codes of the file are."""

    def clamped(layer: Layer) -> Layer:
        if layer.output not in network.ranges:
            return layer
        low, high = network.ranges[layer.output]
        function = layer.activation
        return replace(layer, activation=ActivationFunction(max(function.low, low), min(function.high, high)))

    return replace(network, layers=tuple(map(clamped, network.layers)))


def outputs_of(network: Network, path: Path) -> tuple[bool, list[tuple[Array, Array]]]:
    """Compute the network's outputs for random samples by the runtime of the file, and by the float network.

    Args:
        network: The network that was read from the file.
        path: Path of an ONNX or TFLite file.

    Returns:
        Whether the file is quantized, and for each output the expected and the found values, [n, elements] each.

    Raises:
        IncomparableFile: If the file has no other runtime, or if the runtime cannot compute the tensors at which the
            network ends.
    """
    content = path.read_bytes()
    reference: LiteRTReference | OnnxReference
    if content.removeprefix(_UTF8_MARK).lstrip(_JSON_SPACE)[:1] == b"{":
        raise IncomparableFile("no other runtime computes a JSON description")
    if not network.has_weights:
        raise IncomparableFile("the network has no weights")
    if content[4:8] == b"TFL3":
        reference = LiteRTReference(with_bias_axes_mended(content))
    else:
        # Reads weights from files beside it, which the reader has accepted.
        reference = OnnxReference(onnx.load(path), network.input_names)
    samples = reference.samples(SAMPLES, seed=SEED)
    dims = joined_dims(network.inputs)
    if samples[0].size != math.prod(dims):
        raise IncomparableFile(f"its input has the shape {samples[0].shape}, which is not that of one sample")
    runs = [reference.outputs_of(sample, network) for sample in samples]
    inputs = np.concatenate([sample.reshape(1, *dims) for sample in samples])
    ours = float_outputs(saturated(network), inputs, channels_last=isinstance(reference, LiteRTReference))
    pairs = [(np.stack(each), found) for each, found in zip(zip(*runs, strict=True), ours, strict=True)]
    if any(expected.shape != found.shape for expected, found in pairs):
        raise IncomparableFile("the runtime's tensor is not of the size of the network's output")
    if not all(np.isfinite(expected).all() for expected, _ in pairs):
        raise IncomparableFile("the runtime computes values that are not finite")
    return reference.is_quantized, pairs


def float_outputs(network: Network, samples: npt.NDArray[np.float32], *, channels_last: bool) -> list[Array]:
    """Compute each output of the float network for samples, [n, elements] each.

    Args:
        network: The network, with weights.
        samples: Samples as the caller stores them, [n, *dims]; joined if the network has several inputs.
        channels_last: Whether elements are in the order height, width, channels; else channels come first.

    Raises:
        IncomparableFile: If the float network does not support a layer.
    """
    images = torch.from_numpy(joined_input(samples, network.inputs))
    try:
        with torch.no_grad():
            tensors = FloatNetwork(network).eval().tensors(images)
    except InvalidNetwork as error:
        raise IncomparableFile(str(error)) from None
    outputs = [tensors[name].numpy().astype(np.float64) for name in network.outputs]
    order = (0, 2, 3, 1) if channels_last else (0, 1, 2, 3)
    return [each.transpose(order).reshape(len(each), -1) for each in outputs]
