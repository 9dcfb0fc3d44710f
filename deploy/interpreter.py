"""Reference interpreter of integer-only networks: its results define the correct results of every other implementation.

Images are computed in batches, one batch on each core, so that memory use does not grow with the number of images. In
addition to the returned arrays, a batch needs the tensors that are alive and a few arrays of about `BATCH_BYTES`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, top_code
from deploy.blocks import blocks
from deploy.consistency import check_consistency
from deploy.execution import executor
from deploy.input_codes import codes_of_values
from deploy.integer_network import IntegerNetwork, IntegerTensor
from deploy.proof import prove_accumulators
from deploy.workers import run_on_all_cores
from network.errors import DatasetError
from network.joined_samples import input_tensors
from network.layers import Float32Array
from network.live_ranges import live_ranges_of
from network.network_input import NetworkInput

BATCH_BYTES: Final = 8 * 2**20
"""Size in bytes of the 64-bit sums of a network's largest tensor in one batch of images."""


InputCodes = CodeArray | Mapping[str, CodeArray] | Sequence[CodeArray]
"""Codes of the only input tensor, uint8 [n, height, width, channels]; or those of each input tensor, by its name or in
the order of the inputs."""


def run(network: IntegerNetwork, input_codes: InputCodes) -> dict[str, CodeArray]:
    """Run an integer-only network on input codes and return the codes of its output tensors.

    Args:
        network: The network to run. It is checked first.
        input_codes: The codes of the input tensor, uint8 [n, height, width, channels]; for several inputs, the codes of
            each of them, by its name or in the order of the inputs.

    Returns:
        The codes of each output tensor by its name, uint8 [n, height, width, channels].

    Raises:
        ConversionError: if the network is inconsistent, or if an accumulator could overflow. The message names the
            layer.
        ValueError: if the codes of an input are missing, have another shape or type, or exceed the largest code of the
            tensor, or if the inputs have different numbers of samples.
    """
    return _interpret(network, input_codes, network.outputs)


def trace(network: IntegerNetwork, input_codes: InputCodes) -> dict[str, CodeArray]:
    """Run an integer-only network on input codes, and return the codes of all its tensors, including the inputs, in
    memory at once.
    """
    return _interpret(network, input_codes, tuple(network.tensors))


def quantize_input(network: IntegerNetwork, samples: Float32Array) -> CodeArray:
    """Quantize real samples to the integer codes of an integer-only network's input tensor (`deploy.input_codes`).

    Args:
        network: The network whose input tensor gives scale, zero point and bits.
        samples: The real values, [n, channels, height, width].

    Returns:
        The codes, uint8 [n, height, width, channels].

    Raises:
        DatasetError: if the samples have another shape, or if a value is NaN or infinite.
    """
    return _quantized(network, network.only_input, samples)


def quantize_inputs(network: IntegerNetwork, samples: Float32Array) -> dict[str, CodeArray]:
    """Quantize real samples to the integer codes of each input tensor of an integer-only network.

    Args:
        network: The network whose input tensors give scale, zero point and bits.
        samples: The joined real values of the inputs (`network.joined_samples.joined_input`): [n, elements], or
            [n, channels, height, width] if there is only one input.

    Returns:
        The codes of each input by its name, uint8 [n, height, width, channels].

    Raises:
        DatasetError: if the samples have another shape, or if a value is NaN or infinite.
    """
    elements = sum(each.shape.elements for each in network.inputs)
    if len(network.inputs) > 1 and (samples.ndim != 2 or samples.shape[1] != elements):
        raise DatasetError(
            f"network '{network.name}' needs samples of shape [n, {elements}], its inputs joined, but the samples have "
            f"the shape {list(samples.shape)}"
        )
    parts = input_tensors(samples, network.inputs)
    return {each.name: _quantized(network, each, parts[each.name]) for each in network.inputs}


def _quantized(network: IntegerNetwork, given: NetworkInput, samples: Float32Array) -> CodeArray:
    tensor = network.tensors[given.name]
    if samples.ndim != 4 or samples.shape[1:] != tuple(tensor.shape):
        raise DatasetError(
            f"network '{network.name}' needs samples of shape [n, {', '.join(map(str, tensor.shape))}], but the "
            f"samples have the shape {list(samples.shape)}"
        )
    codes = np.empty((len(samples), *_image_extents(tensor)), dtype=np.uint8)
    for batch in _batches(len(samples), tensor.shape.elements):
        values = samples[batch]
        if not np.isfinite(values).all():
            raise DatasetError(
                f"the samples for network '{network.name}' contain NaN or infinite values; expected finite values: "
                "remove these samples"
            )
        codes[batch] = codes_of_values(values, tensor.scale, tensor.zero_point, tensor.bits).transpose(0, 2, 3, 1)
    return codes


def real_values(network: IntegerNetwork, tensor: str, codes: CodeArray) -> npt.NDArray[np.float64]:
    """Return the real values that the integer codes of an activation tensor stand for: scale * (code - zero_point).

    Args:
        network: The network that has the tensor.
        tensor: The name of the tensor.
        codes: The codes of the tensor, uint8 [n, height, width, channels].

    Returns:
        The real values, float64 [n, channels, height, width].
    """
    meaning = network.tensors[tensor]
    steps = codes.astype(np.float64) - meaning.zero_point
    return np.ascontiguousarray((steps * meaning.scale).transpose(0, 3, 1, 2))


def _interpret(network: IntegerNetwork, input_codes: InputCodes, wanted: Collection[str]) -> dict[str, CodeArray]:
    check_consistency(network)
    prove_accumulators(network)
    given = _checked_inputs(network, input_codes)
    samples = len(given[network.input_names[0]])
    program = [
        (layer, executor(layer, tuple(network.tensors[name] for name in layer.inputs), network.tensors[layer.output]))
        for layer in network.layers
    ]
    ranges = live_ranges_of(network.layers, network.input_names)
    results = {name: np.empty((samples, *_image_extents(network.tensors[name])), dtype=np.uint8) for name in wanted}
    largest_elements = max(tensor.shape.elements for tensor in network.tensors.values())

    def run_batch(batch: slice) -> None:
        alive = {name: codes[batch] for name, codes in given.items()}
        for name in given:
            _keep(name, alive, results, batch)
        for step, (layer, execute) in enumerate(program):
            alive[layer.output] = execute(*(alive[name] for name in layer.inputs))
            _keep(layer.output, alive, results, batch)
            for name in {*layer.inputs, layer.output}:
                if ranges[name].stop == step + 1:
                    del alive[name]

    run_on_all_cores(run_batch, _batches(samples, largest_elements))
    return results


def _checked_inputs(network: IntegerNetwork, input_codes: InputCodes) -> dict[str, CodeArray]:
    """Return the codes of each input by its name.

    Raises:
        ValueError: if codes are missing or invalid, or if the inputs have different numbers of samples.
    """
    if isinstance(input_codes, np.ndarray):
        input_codes = {network.only_input.name: input_codes}
    if not isinstance(input_codes, Mapping):
        if len(input_codes) != len(network.inputs):
            raise ValueError(f"codes of {len(input_codes)} inputs were given; expected codes of {len(network.inputs)}")
        input_codes = dict(zip(network.input_names, input_codes, strict=True))
    given = input_codes
    if set(given) != set(network.input_names):
        raise ValueError(
            f"codes of the inputs {sorted(given)} were given; expected codes of {', '.join(network.input_names)}"
        )
    for name in network.input_names:
        _check_codes(given[name], network.tensors[name])
    counts = sorted({len(codes) for codes in given.values()})
    if len(counts) > 1:
        raise ValueError(f"the inputs have {' and '.join(map(str, counts))} samples; expected the same number")
    return {name: given[name] for name in network.input_names}


def _keep(name: str, alive: dict[str, CodeArray], results: dict[str, CodeArray], batch: slice) -> None:
    if name in results:
        results[name][batch] = alive[name]


def _check_codes(codes: CodeArray, tensor: IntegerTensor) -> None:
    extents = _image_extents(tensor)
    if codes.dtype != np.uint8 or codes.ndim != 4 or codes.shape[1:] != extents:
        raise ValueError(
            f"tensor '{tensor.name}' needs uint8 codes of shape [n, {', '.join(map(str, extents))}], "
            f"not {codes.dtype} of shape {list(codes.shape)}"
        )
    if codes.size and int(codes.max()) > top_code(tensor.bits):
        raise ValueError(
            f"tensor '{tensor.name}' has {tensor.bits} bits, but its largest code is {int(codes.max())}; "
            f"expected at most {top_code(tensor.bits)}"
        )


def _image_extents(tensor: IntegerTensor) -> tuple[int, int, int]:
    return tensor.shape.height, tensor.shape.width, tensor.shape.channels


def _batches(images: int, elements: int) -> Iterator[slice]:
    return blocks(images, BATCH_BYTES // (8 * elements))
