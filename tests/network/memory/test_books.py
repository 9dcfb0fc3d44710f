"""The accounting of a device has the sizes of its core, with the optimization that was asked for."""

from __future__ import annotations

import pytest

from network.devices.catalogue import catalogue
from network.kernel_sizes.tables import Optimization, measured_cores, sizes_for
from network.layers import FullyConnected, Shape
from network.memory.accounting import Accounting
from network.memory.books import accounting_for
from network.memory.deployed import DeployedAccounting
from network.memory.paper import PaperAccounting
from network.network import Network
from tests.builders import network_of

NETWORK: Network = network_of([FullyConnected(name="fc", inputs=("input",), output="fc", output_channels=5)], Shape(8))


def code_bytes(accounting: Accounting) -> int:
    return sum(each.size_bytes for each in accounting.always_shared(NETWORK) if each.part.startswith("kernel code"))


@pytest.mark.parametrize("name", catalogue())
def test_only_devices_with_other_cores_have_estimates(name: str) -> None:
    device = catalogue()[name]
    accounting = accounting_for("deployed", device)
    assert isinstance(accounting, DeployedAccounting)
    is_measured = device.core in measured_cores()
    assert accounting.sizes is sizes_for(device.core)
    assert any(each.is_estimate for each in accounting.always_shared(NETWORK)) is not is_measured


def test_the_optimization_decides_the_code() -> None:
    device = catalogue()["nrf52840"]
    sizes = {each: code_bytes(accounting_for("deployed", device, each)) for each in Optimization}
    assert sizes[Optimization.SIZE] < sizes[Optimization.SPEED]
    without = accounting_for("deployed", None, Optimization.SIZE)
    assert code_bytes(without) == sizes[Optimization.SIZE]
    assert isinstance(accounting_for("paper", device, Optimization.SIZE), PaperAccounting)
