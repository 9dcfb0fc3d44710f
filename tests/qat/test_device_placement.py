"""Devices of tensors: no layer mixes tensors of the CPU with tensors of the device that trains.

CI has no GPU. torch's device `meta` has no values, but its elementwise operators refuse operands of another device, as
those of a GPU do. Fake quantization reads values, so that it cannot run there.
"""

from __future__ import annotations

import pytest
import torch

from network.layers import AveragePool
from qat.prepare import float_module
from tests.qat.zoo import all_kinds

SAMPLES = 4


@pytest.mark.parametrize("seed", range(3))
def test_float_network_runs_on_another_device(seed: int) -> None:
    network = all_kinds(seed)
    assert any(isinstance(layer, AveragePool) for layer in network.layers)
    module = float_module(network).to("meta")
    outputs = module(torch.empty(SAMPLES, *network.only_input.shape, device="meta"))
    assert outputs.device.type == "meta"
    outputs.sum().backward()
    assert all(each.grad is not None and each.grad.device.type == "meta" for each in module.parameters())
