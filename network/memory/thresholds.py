"""The `deployed` rule book for a network that compares with thresholds instead of multiplying.

    thresholds               4 c (2^b - 1)    int32, b the bits of the layer's output; bias, batch norm and scales are
                                              in them
    direction                  c              int8
    weight zero point          c              for each channel; 1 where one serves all

take the place of a weight layer's bias, multiplier and shift (arXiv 1905.13082, section 4). So a layer's constants
depend on the bits of its output, as flash otherwise never does: 13 bytes a channel at 2 bits, 61 at 4 and 1021 at 8.
The solver therefore chooses bits by the `deployed` book, and what was chosen is measured by this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.allocation import Allocation, Bits, Scheme
from network.budget import Budget
from network.errors import RequestError
from network.layers import Layer, WeightLayer
from network.memory.deployed import DeployedAccounting
from network.memory.kernel_table import kernel_of
from network.memory.report import Accounting, MemoryReport, measure
from network.network import Network

THRESHOLD_BYTES: Final = 4


def measure_thresholds(network: Network, allocation: Allocation, book: Accounting, budget: Budget) -> MemoryReport:
    """The memory report of a network that is to be converted to thresholds, its bits chosen by `book`.

    Raises:
        RequestError: it takes more flash than the budget has, by how much and where; or the book knows no thresholds.
    """
    if not isinstance(book, DeployedAccounting):
        raise RequestError(
            f"requantization by thresholds is counted by the '{DeployedAccounting.name}' accounting, not by "
            f"'{book.name}'; choose that, or the multiplier"
        )
    report = measure(network, allocation, ThresholdAccounting(book, allocation.activation_bits))
    if report.flash_bytes > budget.flash_bytes:
        largest = max(report.layers, key=lambda layer: layer.parameter_bytes)
        raise RequestError(
            f"with thresholds the network takes {report.flash_bytes:.0f} bytes of flash, "
            f"{report.flash_bytes - budget.flash_bytes:.0f} more than the budget of {budget.flash_bytes}; layer "
            f"'{largest.layer}' alone has {largest.parameter_bytes} bytes of constants at "
            f"{allocation.activation_bits[_output(network, largest.layer)]} bits of its output; choose the multiplier, "
            "or give activations fewer bits or the network more flash"
        )
    return report


class ThresholdAccounting(DeployedAccounting):
    """See the module's text.

    Args:
        book: how all else is counted.
        activation_bits: of every tensor, as they were chosen.
    """

    def __init__(self, book: DeployedAccounting, activation_bits: Mapping[str, Bits]) -> None:
        super().__init__(book.kernels, book.in_place, reuses_input=book.reuses_input)
        self._activation_bits = dict(activation_bits)

    def parameter_bytes(self, network: Network, layer: Layer, scheme: Scheme | None, *, is_last: bool) -> int:
        if not isinstance(layer, WeightLayer):
            return super().parameter_bytes(network, layer, scheme, is_last=is_last)
        if scheme is None:
            raise ValueError(f"layer '{layer.name}' has weights and no scheme")
        (shape,) = network.input_shapes(layer)
        entry = self.kernels.table_entry_bytes[kernel_of(layer, shape)]
        thresholds = 2 ** self._activation_bits[layer.output] - 1
        zero_points = layer.output_channels if scheme.weights.has_zero_point_per_channel else 1
        return entry + layer.output_channels * (THRESHOLD_BYTES * thresholds + 1) + zero_points


def _output(network: Network, layer: str) -> str:
    return next(each.output for each in network.layers if each.name == layer)
