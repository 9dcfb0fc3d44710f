"""The `deployed` byte accounting of a network that requantizes by comparing with thresholds instead of multiplying.

The thresholds of a layer with weights contain its bias, batch norm and scales (arXiv 1905.13082, section 4). They
depend on the bits b of the layer's output: 4 (2 + 2^b - 1) bytes for each channel, which are 20 at 2 bits, 68 at 4 and
1,028 at 8. The solver chooses bits for narrow multipliers, and the chosen bits are then measured with thresholds.
"""

from __future__ import annotations

from network.allocation import Allocation
from network.budget import Budget
from network.errors import RequestError
from network.kernel_functions import Form
from network.memory.accounting import Accounting
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from network.memory.report import MemoryReport
from network.network import Network


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
    forms = {layer.name: Form.THRESHOLDS for layer in network.weight_layers}
    report = measure(network, allocation, book.with_forms(forms))
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


def _output(network: Network, layer: str) -> str:
    return next(each.output for each in network.layers if each.name == layer)
