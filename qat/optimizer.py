"""Adam over a fake-quantized network, its ranges with a learning rate of their own."""

from __future__ import annotations

import torch

from qat.options import TrainingOptions
from qat.quantized_network import QuantizedNetwork


def new_optimizer(module: QuantizedNetwork, options: TrainingOptions) -> torch.optim.Adam:
    """Adam, in two groups: weights, biases and batch norm; and the bounds of ranges, if any are learned."""
    ranges = module.range_parameters()
    of_ranges = {id(parameter) for parameter in ranges}
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    others = [parameter for parameter in learned if id(parameter) not in of_ranges]
    groups = [{"params": others, "share": 1.0}]
    if ranges:
        groups.append({"params": ranges, "share": options.range_learning_rate})
    return torch.optim.Adam(groups, lr=options.learning_rate)


def set_learning_rate(optimizer: torch.optim.Adam, rate: float) -> None:
    """The rate of the next step; each group takes its share."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["share"]
