"""Network that is fake-quantized by PyTorch's fused operators with learned scale and zero point.

Weights use `torch._fake_quantize_learnable_per_channel_affine`, and activations the same operator per tensor. These are
the operators with which `torch.ao.quantization` learns step sizes, here without its observers. The bits and the
quantized tensors are those of bitbudget's network; the benchmark measures only the time of a training step.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from benchmarks.trained_float_network import TrainedFloatNetwork
from deploy.arithmetic import top_code
from network.allocation import Allocation, Bits
from network.layers import WeightLayer
from network.network import Network
from qat.activation_ranges import intervals, shared_ranges
from qat.prepare import float_module


class FusedNetwork(TrainedFloatNetwork):
    """Network with the bits of an allocation, fake-quantized by PyTorch's fused operators.

    Args:
        network: The network with its float weights.
        allocation: The allocation whose bits are used.
        images: Normalised images that initialise the scales of the activations, [n, c, h, w].
    """

    def __init__(self, network: Network, allocation: Allocation, images: Tensor) -> None:
        super().__init__(network)
        with torch.no_grad():
            tensors = float_module(network).tensors(images)
        known, owner = intervals(network), shared_ranges(network, allocation.activation_bits)
        self._weights = nn.ModuleList(
            _Quantizer(
                self.weight_parameters(index).weight.detach().flatten(1).abs().amax(dim=1),
                allocation.weight_bits[layer.name],
                is_signed=True,
            )
            if isinstance(layer, WeightLayer)
            else nn.Identity()
            for index, layer in enumerate(network.layers)
        )
        self._ranges = nn.ModuleList(
            _Quantizer(
                tensors[tensor].abs().amax().reshape(1),
                allocation.activation_bits[tensor],
                is_signed=known[tensor].low < 0,
            )
            if owner[tensor] == tensor
            else nn.Identity()
            for tensor in network.tensors
        )

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self._ranges[0](images))

    def step(self, index: int, inputs: Sequence[Tensor], weight: Tensor | None = None) -> Tensor:
        if isinstance(self.network.layers[index], WeightLayer):
            weight = self._weights[index](self.weight_parameters(index).weight)
        # range 0 is that of the input
        ranged: Tensor = self._ranges[index + 1](super().step(index, inputs, weight))
        return ranged


class _Quantizer(nn.Module):
    """Fake quantization with a learned scale and zero point, for a whole tensor or for each output channel."""

    def __init__(self, greatest: Tensor, bits: Bits, *, is_signed: bool) -> None:
        super().__init__()
        top = top_code(bits)
        self._lowest = -(top // 2) - 1 if is_signed else 0
        self._highest = self._lowest + top
        self.scale = nn.Parameter((greatest / self._highest).clamp(min=1e-6))
        self.zero_point = nn.Parameter(torch.zeros_like(greatest))

    def forward(self, values: Tensor) -> Tensor:
        given = (values, self.scale, self.zero_point)
        if len(self.scale) == 1:
            return torch._fake_quantize_learnable_per_tensor_affine(*given, self._lowest, self._highest)
        return torch._fake_quantize_learnable_per_channel_affine(*given, 0, self._lowest, self._highest)
