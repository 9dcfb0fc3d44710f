"""Optimizer of a fake-quantized network: weight decay and learning rate of each group of parameters."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import nn

from network.layers import WeightLayer
from qat.options.chosen import ChosenOptions
from qat.options.training import OptimizerKind, Regime
from qat.quantized_network import QuantizedNetwork

USUAL_SIZE: Final = 0.1
"""Root mean square of the weights of a tensor whose relative learning rate is the learning rate: that of ResNet8's
tensors is 0.06 to 1.04, with a geometric mean of 0.13."""

LARGEST_FACTOR: Final = 10.0
"""Largest factor of a relative learning rate; its inverse is the smallest."""


def new_optimizer(module: QuantizedNetwork, options: ChosenOptions) -> torch.optim.Optimizer:
    """Create the torch optimizer of a fake-quantized network: SGD, Adam or AdamW.

    The parameter groups are 2-bit weights, other weights, biases and batch norms, and ranges. Only weights decay. Adam
    changes a weight by about the learning rate, independent of the size of the gradient, and the quantization step at 2
    bits is several times as large as at 4 bits: with the same learning rate, 2-bit weights would rarely change codes.
    With `relative_rates`, a step changes the weights of every tensor by about the same share of their size.

    Args:
        module: The fake-quantized network, at its final bits.
        options: Training options of the run.
    """
    shares = {id(parameter): options.range_learning_rate for parameter in module.range_parameters()}
    weights = {id(step.learned.weight) for step in module.weight_steps()}
    of_two_bits = [step.learned.weight for step in module.weight_steps() if step.bits == 2]
    shares |= {id(weight): two_bit_share(options) for weight in of_two_bits}
    if options.relative_rates:
        factors = {id(step.learned.weight): relative_rate(step.layer) for step in module.weight_steps()}
        shares |= {weight: shares.get(weight, 1.0) * factor for weight, factor in factors.items()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in module.parameters():
        if parameter.requires_grad:
            share = shares.get(id(parameter), 1.0)
            decay = options.weight_decay if id(parameter) in weights else 0.0
            groups.setdefault((share, decay), []).append(parameter)
    described: list[dict[str, Any]] = [
        {"params": parameters, "share": share, "weight_decay": decay} for (share, decay), parameters in groups.items()
    ]
    match options.optimizer:
        case OptimizerKind.SGD:
            return torch.optim.SGD(
                described, lr=options.learning_rate, momentum=options.momentum, nesterov=options.nesterov
            )
        case OptimizerKind.ADAM:
            return torch.optim.Adam(described, lr=options.learning_rate)
        case OptimizerKind.ADAMW:
            return torch.optim.AdamW(described, lr=options.learning_rate)


def relative_rate(layer: WeightLayer) -> float:
    """Return the learning rate of a layer's weights as a multiple of that of weights of the usual size.

    The size is that of the float weights, so that a resumed run has the same rates.

    Args:
        layer: The layer, with weights.
    """
    assert layer.weight is not None  # noqa: S101  # a network that is trained has weights
    size = float(np.sqrt(np.square(layer.weight, dtype=np.float64).mean()))
    return min(max(size / USUAL_SIZE, 1 / LARGEST_FACTOR), LARGEST_FACTOR)


def two_bit_share(options: ChosenOptions) -> float:
    """Return the learning rate of 2-bit weights as a multiple of that of other weights; 1 in the paper's regime."""
    return 1.0 if options.regime is Regime.PAPER else options.two_bit_learning_rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next training step; each group of parameters has a fixed multiple of this rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]
