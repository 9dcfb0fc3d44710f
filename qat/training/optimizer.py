"""The optimizer of a fake-quantized network: what decays, and which rate each kind of parameter has."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from qat.options.training import OptimizerKind, Regime, TrainingOptions
from qat.quantized_network import QuantizedNetwork


def new_optimizer(module: QuantizedNetwork, options: TrainingOptions) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW, in groups: weights, which alone decay, of 2 bits and of more; biases and batch norm; ranges.

    Adam moves a weight by about the rate whatever its gradient, and a step of 2 bits is several times as wide as one of
    4: at one rate for all, those weights hardly change their codes.

    Args:
        module: at the bits that the run ends with.
        options: of the run.
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


def two_bit_share(options: TrainingOptions) -> float:
    """The rate of 2-bit weights over that of all others; the paper's regime knows one rate for all."""
    return 1.0 if options.regime is Regime.PAPER else options.two_bit_learning_rate


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The rate of the next step; each group takes its share."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]
