"""What is known of how fast cores run kernels: tables for three of them, estimates all.

They are counts of executed instructions, made under an emulator, one instruction counted as one cycle: no wait states
of flash, no dual issue, no stalls. They rank bits and layers; the time on a chip can differ by much.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.allocation import BITS, Bits
from network.devices.latency import CoreSpeed, Key
from network.errors import RequestError
from network.names import shown

# Executed instructions for one multiply-accumulate, GCC 12.2 -O3, counted under QEMU 7.2. Pointwise: 16x16x64 -> 64;
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
"""Below 8 bits CMix-NN's depthwise kernels executed 13.8 to 17.3 instructions, and computed wrong results: the upper
end stands for a kernel that does the same work right."""

_INSTRUCTIONS_PER_ELEMENT: Final[Mapping[str, float]] = {
    "add": 10, "activation": 13, "concat": 13, "max_pool": 3, "average_pool": 3, "pad": 4,
}  # fmt: skip
"""Counted by hand from plain loops, for one element read: load, zero point, 64-bit product and shift, clamp, store.
The M55's vector instructions would take fewer."""


def _speed(core: str) -> CoreSpeed:
    """The measured counts, and what is derived from them.

    pointwise, weights        2 bits on the M55: as its 4 bits, times what 2 bits take of 4 on the M4
    pointwise, activations    a bits with w-bit weights: 8 with w, times what (a, a) takes of (8, a); M55: the M4's
    convolution, fully connected      as pointwise: the same inner loop
    depthwise below 8 bits    M4: see above; M7: as the M4, in the proportion of 8 bits; M55: as 8 / 4 where weights
                              have 8 or 4 bits, times the M4's pointwise 2 bits over 4 for 2
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
    return CoreSpeed(
        core,
        {key: 1.0 / count for key, count in instructions.items()},
        {kind: 1.0 / count for kind, count in _INSTRUCTIONS_PER_ELEMENT.items()},
        "executed instructions of CMix-NN and CMSIS-NN kernels under QEMU 7.2, one counted as one cycle",
        frozenset(own),
    )


SPEEDS: Final[Mapping[str, CoreSpeed]] = {core: _speed(core) for core in _MEASURED}


def speed_of_core(core: str) -> CoreSpeed:
    """The table of a core.

    Raises:
        RequestError: there is none.
    """
    if core not in SPEEDS:
        raise RequestError(
            f"there are no speeds of core '{shown(core)}', only of {', '.join(SPEEDS)}; give a table of your own"
        )
    return SPEEDS[core]
