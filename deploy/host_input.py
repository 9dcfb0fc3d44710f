"""Text of the functions of the host program that turn samples into input codes (`deploy.host_program`)."""

from __future__ import annotations

import numpy as np

from deploy.arithmetic import top_code
from deploy.integer_network import IntegerNetwork, IntegerTensor
from network.network_input import NetworkInput


def input_functions(network: IntegerNetwork) -> tuple[str, str]:
    """Return the texts of `prepare`, which applies the input formats, and of `before`, which quantizes too.

    With one input, both read its sample and return one array. With several, both read a list with one sample for each
    input, in the order of `network.json`, and return a list of arrays.

    Args:
        network: The integer-only network.
    """
    return _prepare(network), _before(network)


def _prepare(network: IntegerNetwork) -> str:
    if len(network.inputs) == 1:
        given = network.only_input
        dims = list(given.format.dims)
        lines = [
            "def prepare(sample):",
            f'    """Return real values of the input, float32 {_extents(given)}, of a sample {dims}."""',
            *_values(given, "sample"),
            "    return x",
        ]
        return "\n".join(lines) + "\n"
    lines = [
        "def prepare(samples):",
        '    """Return the real values of each input, float32 [height, width, channels], of one sample for each."""',
        "    values = []",
    ]
    for index, given in enumerate(network.inputs):
        lines.append(f"    # {list(given.format.dims)} -> {_extents(given)}")
        lines += [*_values(given, f"samples[{index}]"), "    values.append(x)"]
    return "\n".join((*lines, "    return values")) + "\n"


def _before(network: IntegerNetwork) -> str:
    tensors = [network.tensors[name] for name in network.input_names]
    if len(tensors) == 1:
        return (
            "def before(sample):\n"
            '    """Return the codes of the input tensor, uint8 [height, width, channels], of a sample."""\n'
            f"    steps = {_steps('prepare(sample)', tensors[0])}\n"
            f"    return {_codes('steps', tensors[0])}\n"
        )
    lines = "".join(
        f"        {_codes(_steps(f'values[{index}]', tensor), tensor)},\n" for index, tensor in enumerate(tensors)
    )
    return (
        "def before(samples):\n"
        '    """Return the codes of each input tensor, uint8 [height, width, channels], of one sample for each."""\n'
        f"    values = prepare(samples)\n    return [\n{lines}    ]\n"
    )


def _values(given: NetworkInput, sample: str) -> list[str]:
    """Return the lines that assign the real values of an input tensor, [height, width, channels], to `x`.

    Args:
        given: The input.
        sample: The expression of its sample.
    """
    shape = given.shape
    if given.format.channels_last:
        reshaped = f".reshape{(shape.height, shape.width, shape.channels)}"
    else:
        reshaped = f".reshape{(shape.channels, shape.height, shape.width)}.transpose(1, 2, 0)"
    lines = [f"    x = np.asarray({sample}, dtype=np.float32){reshaped}"]
    if not given.format.is_normalised_already:
        subtract, multiply = (_numbers(each) for each in (given.format.subtract, given.format.multiply))
        lines.append(f"    x = (x - {subtract}) * {multiply}")
    return lines


def _extents(given: NetworkInput) -> list[int]:
    return [given.shape.height, given.shape.width, given.shape.channels]


def _numbers(values: tuple[float, ...]) -> str:
    """Return float32 constants of the input format as an expression."""
    numbers = [str(number) for number in np.asarray(values, dtype=np.float32)]
    return f"np.float32({numbers[0]})" if len(numbers) == 1 else f"np.array([{', '.join(numbers)}], dtype=np.float32)"


def _steps(values: str, tensor: IntegerTensor) -> str:
    """Return the expression of the quantization steps of real values, rounded as `deploy.input_codes` defines it."""
    return f"np.floor({values}.astype(np.float64) / {float(tensor.scale)!r} + 0.5 + 2.0**-12)"


def _codes(steps: str, tensor: IntegerTensor) -> str:
    return f"np.clip({steps} + {tensor.zero_point}, 0, {top_code(tensor.bits)}).astype(np.uint8)"
