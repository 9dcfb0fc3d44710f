"""A network with given bits as a Brevitas module, in the form in which a user would write it by hand.

    weights        per output channel, signed, with a learned step size that starts at the least squared error
                   (`Int8WeightPerChannelFloatMSE`) and 2^b - 1 codes, the default of Brevitas. With 2^b codes,
                   untrained DS-CNN at half its flash had 24 % accuracy; without the lowest code, 65 %
    activations    a learned step size that starts at the least squared error, unsigned after a ReLU
                   (`Uint8ActPerTensorFloatMSE`), else with a zero point (`ShiftedUint8ActPerTensorFloatMSE`);
                   initialised by the `calibration_mode` of Brevitas
    batch norm     separate from the weights, in float: the trained network has no integer-only form

Brevitas is not in the project's lock file, because it requires an older setuptools; docs/benchmarks/qat.md describes
how to install it in addition.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from network.allocation import Allocation, Bits
from network.layers import ActivationFunction, Convolution, WeightLayer
from network.network import Network
from qat.activation_ranges import intervals, shared_ranges
from qat.data.batches import tensor_of
from qat.data.dataset import Samples
from qat.float_network import WeightParameters, clamped, combined
from qat.graph import run_layers
from qat.windows import padded

_SAMPLES_AT_ONCE = 128


def has_brevitas() -> bool:
    """Return whether the library Brevitas is installed."""
    return importlib.util.find_spec("brevitas") is not None


class BrevitasNetwork(nn.Module):
    """Network with the bits of an allocation, fake-quantized by the library Brevitas.

    forward: from normalised input tensors [n, c, h, w] to the first output, flattened, [n, elements].

    Args:
        network: The network with the weights from which training starts.
        allocation: The allocation whose bits are used. Its schemes are ignored, because Brevitas does not have them.
    """

    def __init__(self, network: Network, allocation: Allocation) -> None:
        super().__init__()
        self.network = network
        bits = allocation.activation_bits
        owner, known = shared_ranges(network, bits), intervals(network)
        self._layers = nn.ModuleList(
            _WeightLayer(layer, allocation.weight_bits[layer.name]) if isinstance(layer, WeightLayer) else nn.Identity()
            for layer in network.layers
        )
        self._input = _quantizer(known[network.only_input.name], bits[network.only_input.name])
        self._ranges = nn.ModuleList(
            _quantizer(known[layer.output], bits[layer.output])
            if owner[layer.output] == layer.output
            else nn.Identity()
            for layer in network.layers
        )

    def forward(self, images: Tensor) -> Tensor:
        def step(index: int, inputs: Sequence[Tensor]) -> Tensor:
            layer = self.network.layers[index]
            values = self._layers[index](inputs[0]) if isinstance(layer, WeightLayer) else combined(layer, inputs)
            ranged: Tensor = self._ranges[index](clamped(values, layer.activation))
            return ranged

        given: Tensor = self._input(images)
        return run_layers(self.network, {self.network.only_input.name: given}, step)[self.network.outputs[0]].flatten(1)

    def two_bit_weights(self) -> list[nn.Parameter]:
        """Return the weight parameters of the layers whose weights have 2 bits."""
        layers = [own for own in self._layers if isinstance(own, _WeightLayer)]
        return [own.weight for own in layers if own.bits == 2]

    @torch.no_grad()
    def calibrate(self, samples: Samples) -> None:
        """Initialise the quantization ranges of all activation tensors by the calibration of Brevitas."""
        calibration = importlib.import_module("brevitas.graph.calibrate").calibration_mode
        self.eval()
        with calibration(self):
            for start in range(0, len(samples), _SAMPLES_AT_ONCE):
                self(tensor_of(samples[start : start + _SAMPLES_AT_ONCE], self.network))


class _WeightLayer(nn.Module):
    """Convolution or fully connected layer of Brevitas, followed by PyTorch's batch norm."""

    def __init__(self, layer: WeightLayer, bits: Bits) -> None:
        super().__init__()
        self.bits = bits
        self._layer = layer
        float_ones = WeightParameters(layer)
        self._sums = _sums(layer, bits, has_bias=not float_ones.has_batch_norm)
        self._sums.weight.data.copy_(float_ones.weight.data)
        self._sums.weight_quant.init_tensor_quant()  # initialise the step sizes from these weights
        self._norm: nn.Module = nn.Identity()
        if not float_ones.has_batch_norm:
            self._sums.bias.data.copy_(float_ones.bias.data)
            return
        norm = nn.BatchNorm2d(layer.output_channels, eps=float_ones.epsilon)
        assert norm.running_mean is not None  # noqa: S101  # a batch norm tracks statistics by default
        assert norm.running_var is not None  # noqa: S101
        norm.weight.data.copy_(float_ones.gamma.data)
        norm.bias.data.copy_(float_ones.beta.data)
        norm.running_mean.copy_(float_ones.mean)
        norm.running_var.copy_(float_ones.variance)
        self._norm = norm

    @property
    def weight(self) -> nn.Parameter:
        """Weights of the Brevitas convolution or fully connected layer."""
        weight: nn.Parameter = self._sums.weight
        return weight

    def forward(self, inputs: Tensor) -> Tensor:
        if not isinstance(self._layer, Convolution):
            linear: Tensor = self._norm(self._sums(inputs.flatten(1))[:, :, None, None])
            return linear
        top, left, bottom, right = self._layer.padding
        if (top, left) != (bottom, right):
            inputs = padded(inputs, self._layer.padding)
        sums: Tensor = self._norm(self._sums(inputs))
        return sums


def _sums(layer: WeightLayer, bits: Bits, *, has_bias: bool) -> Any:
    brevitas = importlib.import_module("brevitas.nn")
    quantizers = importlib.import_module("brevitas.quant")
    chosen = {
        "weight_quant": quantizers.Int8WeightPerChannelFloatMSE,
        "weight_bit_width": int(bits),
        "bias": has_bias,
    }
    assert layer.weight is not None  # noqa: S101  # WeightParameters rejects a layer without weights
    channels, inputs = layer.output_channels, layer.weight.shape[1]
    if not isinstance(layer, Convolution):
        return brevitas.QuantLinear(inputs, channels, **chosen)
    top, left, bottom, right = layer.padding
    return brevitas.QuantConv2d(
        inputs * layer.groups,
        channels,
        layer.kernel,
        stride=layer.stride,
        padding=(top, left) if (top, left) == (bottom, right) else 0,
        dilation=layer.dilation,
        groups=layer.groups,
        **chosen,
    )


def _quantizer(interval: ActivationFunction, bits: Bits) -> Any:
    brevitas = importlib.import_module("brevitas.nn")
    quantizers = importlib.import_module("brevitas.quant")
    kind = quantizers.Uint8ActPerTensorFloatMSE if interval.low == 0 else quantizers.ShiftedUint8ActPerTensorFloatMSE
    return brevitas.QuantIdentity(act_quant=kind, bit_width=int(bits), return_quant_tensor=False)
