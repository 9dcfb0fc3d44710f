"""The `deployed` byte accounting of a network that requantizes by comparing with thresholds instead of multiplying.

    thresholds            4 c (2^b - 1)    int32; they contain bias, batch norm and scales
    direction             c                int8
    weight zero point     c                int8 for each channel; 1 if the layer has one

with c output channels and b bits of the layer's output. These constants replace the bias, multipliers and shifts of a
layer with weights (arXiv 1905.13082, section 4). They depend on the bits of the layer's output: 13 bytes for each
channel at 2 bits, 61 at 4 and 1,021 at 8. The solver chooses bits by the `deployed` accounting, and the chosen bits are
then measured by this one.
"""

from __future__ import annotations

from typing import Final

from network.allocation import Allocation, Scheme
from network.budget import Budget
from network.errors import RequestError
from network.layers import Layer, WeightLayer
from network.memory.accounting import Accounting, LayerBits
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.report import MemoryReport
from network.memory.requantization import scheme_of, zero_point_bytes
from network.network import Network

THRESHOLD_BYTES: Final = 4
"""Number of bytes of an int32 threshold."""


def measure_thresholds(network: Network, allocation: Allocation, book: Accounting, budget: Budget) -> MemoryReport:
    """Return the memory report of a network that is to be requantized by thresholds instead of multipliers.

    Args:
        network: The network.
        allocation: Bits and schemes that were chosen by `book`.
        book: The accounting by which the bits were chosen.
        budget: Flash and RAM that the network may use.

    Raises:
        RequestError: if the network needs more flash than the budget (says how much more, and names the largest layer),
            or if `book` is not the `deployed` accounting.
    """
    if not isinstance(book, DeployedAccounting):
        raise RequestError(
            f"the '{book.name}' accounting cannot count requantization by thresholds; choose the "
            f"'{DeployedAccounting.name}' accounting, or requantization by multipliers"
        )
    report = measure(network, allocation, ThresholdAccounting(book))
    if report.flash_bytes > budget.flash_bytes:
        largest = max(report.layers, key=lambda layer: layer.parameter_bytes)
        raise RequestError(
            f"with requantization by thresholds the network needs {report.flash_bytes:.0f} bytes of flash, "
            f"{report.flash_bytes - budget.flash_bytes:.0f} more than the budget of {budget.flash_bytes}; layer "
            f"'{largest.layer}' alone has {largest.parameter_bytes} bytes of constants, with "
            f"{allocation.activation_bits[_output(network, largest.layer)]} bits for its output; choose requantization "
            "by multipliers, fewer activation bits, or more flash"
        )
    return report


class ThresholdAccounting(DeployedAccounting):
    """The `deployed` byte accounting, with thresholds as the requantization constants of layers with weights."""

    def __init__(self, book: DeployedAccounting) -> None:
        """Create the byte accounting of a network that requantizes by thresholds.

        Args:
            book: The accounting that counts everything except the constants of layers with weights.
        """
        super().__init__(book.kernels, book.in_place, reuses_input=book.reuses_input)

    def _constant_bytes(self, layer: Layer, scheme: Scheme | None, bits: LayerBits) -> int:
        if not isinstance(layer, WeightLayer):
            return super()._constant_bytes(layer, scheme, bits)
        zero_points = zero_point_bytes(layer, scheme_of(layer, scheme))
        return layer.output_channels * (THRESHOLD_BYTES * (2**bits.output - 1) + 1) + zero_points


def _output(network: Network, layer: str) -> str:
    return next(each.output for each in network.layers if each.name == layer)
