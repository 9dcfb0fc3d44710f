"""Estimated speeds of three microcontroller cores: multiply-accumulates and elements per clock cycle.

The rates come from counts of executed instructions under an emulator, with one cycle for each instruction: flash wait
states, dual issue and stalls are ignored. They are good enough to rank bits and layers; the time on a chip can differ
by a large factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.allocation import BITS, Bits
from network.devices.latency import CoreSpeed, Key
from network.errors import RequestError
from network.kernels import KERNELS_WITHOUT_WEIGHTS, WEIGHT_KERNELS, require_rows
from network.names import shown

# Executed instructions per multiply-accumulate, GCC 12.2 -O3, counted under QEMU 7.2. Pointwise: 16x16x64 -> 64;
# depthwise: 3x3, stride 1, padding 1, 16x16x64. M4 and M7: CMix-NN; M55: CMSIS-NN.
_MEASURED: Final[Mapping[str, Mapping[Key, float]]] = {
    "cortex-m4": {
        ("pointwise_convolution", 8, 8): 2.286,
        ("pointwise_convolution", 8, 4): 2.516,
        ("pointwise_convolution", 8, 2): 2.633,
        ("pointwise_convolution", 4, 4): 2.514,
        ("pointwise_convolution", 2, 2): 2.741,
        ("depthwise_convolution", 8, 8): 11.58,
    },
    "cortex-m7": {
        ("pointwise_convolution", 8, 8): 2.411,
        ("pointwise_convolution", 8, 4): 2.544,
        ("pointwise_convolution", 8, 2): 2.660,
        ("pointwise_convolution", 4, 4): 2.538,
        ("pointwise_convolution", 2, 2): 2.753,
        ("depthwise_convolution", 8, 8): 11.49,
    },
    "cortex-m55": {
        ("pointwise_convolution", 8, 8): 0.393,
        ("pointwise_convolution", 8, 4): 0.636,
        ("depthwise_convolution", 8, 8): 2.300,
        ("depthwise_convolution", 8, 4): 2.784,
    },
}

_NARROW_DEPTHWISE_ON_M4: Final = 17.3
"""Instructions per multiply-accumulate of a depthwise kernel below 8 bits. CMix-NN's kernels executed 13.8 to 17.3
instructions and computed wrong results; the upper end is assumed for a correct kernel."""

_INSTRUCTIONS_PER_ELEMENT: Final[Mapping[str, float]] = {
    "add": 10, "activation": 13, "concat": 13, "max_pool": 3, "average_pool": 3, "pad": 4,
}  # fmt: skip
"""Kernel without weights -> instructions per element that it reads, counted by hand from plain loops: load, zero point,
64-bit product and shift, clamp, store. With its vector instructions, the M55 needs fewer."""


def _speed(core: str) -> CoreSpeed:
    """Return the speed of a microcontroller core, from measured and from derived counts of instructions.

    n(a, w) is the number of instructions per multiply-accumulate at a activation bits and w weight bits:

        pointwise, 2-bit weights on M55   n(8, 2) = n(8, 4) * [n(8, 2) / n(8, 4) of the M4]
        pointwise, a < 8                  n(a, w) = n(8, w) * n(a, a) / n(8, a); the last factor of the M4 for the M55
        convolution, fully connected      as pointwise, which has the same inner loop
        depthwise below 8 bits            M4: the constant above; M7: the constant times n(8, 8) / n(8, 8) of the M4;
                                          M55: n(8, 4), times pointwise n(8, 2) / n(8, 4) of the M4 for 2-bit weights

    Args:
        core: Name of a core of `_MEASURED`.
    """
    own, m4 = _MEASURED[core], _MEASURED["cortex-m4"]
    pointwise, depthwise = "pointwise_convolution", "depthwise_convolution"
    two_of_four = m4[pointwise, 8, 2] / m4[pointwise, 8, 4]
    scale: dict[Bits, float] = {8: 1.0}
    for bits in BITS[1:]:
        table = own if (pointwise, bits, bits) in own else m4
        scale[bits] = table[pointwise, bits, bits] / table[pointwise, 8, bits]
    instructions: dict[Key, float] = {}
    for weight in BITS:
        wide = own.get((pointwise, 8, weight), own[pointwise, 8, 4] * two_of_four)
        for activation in BITS:
            key = (pointwise, activation, weight)
            instructions[key] = own.get(key, wide * scale[activation])
            for kernel in ("convolution", "fully_connected"):
                instructions[kernel, activation, weight] = instructions[key]
            if (depthwise, 8, 4) in own:
                narrow = own[depthwise, 8, 4] * (two_of_four if weight == 2 else 1.0)
            else:
                narrow = _NARROW_DEPTHWISE_ON_M4 * own[depthwise, 8, 8] / m4[depthwise, 8, 8]
            instructions[depthwise, activation, weight] = own.get((depthwise, activation, weight), narrow)
    keys = [(kernel, activation, weight) for kernel in WEIGHT_KERNELS for activation in BITS for weight in BITS]
    require_rows(instructions, keys, f"the table of instructions of {core}")
    require_rows(_INSTRUCTIONS_PER_ELEMENT, KERNELS_WITHOUT_WEIGHTS, "the table of instructions per element")
    return CoreSpeed(
        core,
        {key: 1.0 / count for key, count in instructions.items()},
        {kind: 1.0 / count for kind, count in _INSTRUCTIONS_PER_ELEMENT.items()},
        "executed instructions of CMix-NN and CMSIS-NN kernels under QEMU 7.2, one counted as one cycle",
        frozenset(own),
    )


SPEEDS: Final[Mapping[str, CoreSpeed]] = {core: _speed(core) for core in _MEASURED}
"""Name of each known core -> its speed."""


def speed_of_core(core: str) -> CoreSpeed:
    """Return the speed of the microcontroller core that has the given name.

    Args:
        core: Name of the core, e.g. "cortex-m4".

    Raises:
        RequestError: if there is no table for that core.
    """
    if core not in SPEEDS:
        raise RequestError(
            f"the kernel speeds of core '{shown(core)}' are not known; choose one of the cores {', '.join(SPEEDS)}, "
            "or your own table of speeds"
        )
    return SPEEDS[core]
