"""Optimizer of a fake-quantized network: weight decay and learning rate of each group of parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from qat.options.chosen import ChosenOptions
from qat.options.training import OptimizerKind, Regime
from qat.quantized_network import QuantizedNetwork


def new_optimizer(module: QuantizedNetwork, options: ChosenOptions) -> torch.optim.Optimizer:
    """Create the torch optimizer of a fake-quantized network: SGD, Adam or AdamW.

    The parameter groups are 2-bit weights, other weights, biases and batch norms, and ranges. Only weights decay. Adam
    changes a weight by about the learning rate, independent of the size of the gradient, and the quantization step at 2
    bits is several times as large as at 4 bits: with the same learning rate, 2-bit weights would rarely change codes.

    Args:
        module: The fake-quantized network, at its final bits.
        options: Training options of the run.
    """
    shares = {id(parameter): options.range_learning_rate for parameter in module.range_parameters()}
    weights = {id(step.learned.weight) for step in module.weight_steps()}
    of_two_bits = [step.learned.weight for step in module.weight_steps() if step.bits == 2]
    shares |= {id(weight): two_bit_share(options) for weight in of_two_bits}
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


def two_bit_share(options: ChosenOptions) -> float:
    """Return the learning rate of 2-bit weights as a multiple of that of other weights; 1 in the paper's regime."""
    return 1.0 if options.regime is Regime.PAPER else options.two_bit_learning_rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next training step; each group of parameters has a fixed multiple of this rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]
