"""Float network in training mode, the reference for the time of a fake-quantized training step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torch import Tensor

from network.layers import WeightLayer
from qat.float_network import FloatNetwork, clamped
from qat.windows import convolved

MOMENTUM: Final = 0.1
"""Momentum of the running statistics of batch norm, the default of torch."""


class TrainedFloatNetwork(FloatNetwork):
    """Float network whose batch norm uses the statistics of the batch, as in training."""

    def step(self, index: int, inputs: Sequence[Tensor], weight: Tensor | None = None) -> Tensor:
        layer = self.network.layers[index]
        if not (self.training and isinstance(layer, WeightLayer) and self.weight_parameters(index).has_batch_norm):
            return super().step(index, inputs, weight)
        parameters = self.weight_parameters(index)
        sums = convolved(inputs[0], parameters.weight if weight is None else weight, None, layer)
        return clamped(parameters.normalised(sums, momentum=MOMENTUM), layer.activation)
