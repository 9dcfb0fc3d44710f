"""Rounding that is learned: which of its two neighbours on the grid every weight becomes.

With the weight w, its grid's scale s, and a variable v for every weight (AdaRound, arXiv 2004.10568):

    soft weight     s * clamp(floor(w / s) + h(v), -z, 2^b - 1 - z)                                 equation 22
    rectified       h(v) = clamp(1.2 * sigmoid(v) - 0.1, 0, 1)                                      equation 23
    regulariser     1 - |2 h(v) - 1|^beta, beta falls: h is first free, then drawn to 0 or 1        equation 24
    loss            squared error of what the unit writes, from the quantized input, + regulariser  equations 21 and 25

v starts where the soft weight is the float weight; a weight whose v ends at 0 or above goes up. The squared error is
that of a whole block (BRECQ, arXiv 2102.05426) behind its activation function, as a multiple of what rounding to
nearest leaves: one weight of the regulariser then suits every unit.

The result is written as weights that lie on the grid, so that rounding to nearest, in training and in conversion,
finds them again. Where the grid follows the weights (minimum and maximum), it must not move by that: the weights at a
channel's ends keep their codes there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from deploy.arithmetic import top_code
from network.allocation import WIDEST_BITS, Allocation
from network.network import Network
from qat.graph import run_between
from qat.post_training.block_inputs import QuantizedSteps, UnitTensors, batches
from qat.post_training.blocks import Unit
from qat.post_training.clipping import follows_its_weights
from qat.post_training.effective_weights import effective_weight, set_effective_weight
from qat.quantized_network import QuantizedNetwork
from qat.quantizers.weights import across
from qat.training.reporting import Reporter
from qat.weight_step import WeightStep

BATCH: Final = 32
LEARNING_RATE: Final = 3e-2
REGULARISER: Final = 0.1
WARM_UP: Final = 0.2
"""The share of the steps before the regulariser sets in."""

FIRST_BETA: Final = 20.0
LAST_BETA: Final = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The two values on the grid that every weight of a layer can become.

    Attributes:
        step: the layer.
        weight: its effective weights, [output channels, ...].
        scale: s, [1, 1, ...] or [output channels, 1, ...]; below 0 where codes are counted downwards.
        lowest_step: -z, as many.
        highest_step: 2^b - 1 - z, as many.
        fixed: weights that must keep their nearest code, bool as the weights.
    """

    step: WeightStep
    weight: Tensor
    scale: Tensor
    lowest_step: Tensor
    highest_step: Tensor
    fixed: Tensor

    @classmethod
    def of(cls, step: WeightStep) -> Neighbours:
        """Those of a layer's weights as they are now."""
        weight = effective_weight(step)
        grid = step.quantizer.grid(weight)
        scale, zero_point = across(grid.scale, weight), across(grid.zero_point, weight)
        fixed = weight == 0  # on every grid; and where a gain of zero is folded in, nothing else is possible
        if follows_its_weights(step, weight):
            rows = weight.flatten(1) if len(scale) > 1 else weight.reshape(1, -1)
            held = fixed.view(rows.shape)
            held.scatter_(1, rows.argmin(dim=1, keepdim=True), value=True)
            held.scatter_(1, rows.argmax(dim=1, keepdim=True), value=True)
        return cls(step, weight, scale, -zero_point, top_code(step.bits) - zero_point, fixed)

    def start(self) -> Tensor:
        """The variables at which every weight inside the grid is its own soft weight."""
        steps = self.weight / self.scale
        rest = (steps - torch.floor(steps) + 0.1) / 1.2
        return torch.log(rest / (1 - rest)).requires_grad_()

    def soft(self, variables: Tensor) -> Tensor:
        """The soft weights, with gradients to the variables."""
        up = torch.where(self.fixed, self._goes_up, rectified(variables))
        return self._on_grid(torch.floor(self.weight / self.scale) + up)

    def hard(self, variables: Tensor) -> Tensor:
        """The weights on the grid."""
        up = torch.where(self.fixed, self._goes_up, (variables >= 0).float())
        return self._on_grid(torch.floor(self.weight / self.scale) + up)

    def nearest(self) -> Tensor:
        """The weights on the grid, rounded half up."""
        return self._on_grid(torch.floor(self.weight / self.scale + 0.5))

    def write(self, rounded: Tensor) -> None:
        """Make these, which lie on the grid, the layer's weights; a channel whose grid would move keeps its own."""
        set_effective_weight(self.step, rounded)
        found = self.step.quantizer(effective_weight(self.step)).detach()
        rows = (found - rounded).abs() > self.scale.abs() / 4
        moved = rows.flatten(1).any(dim=1) if len(self.scale) > 1 else rows.any().expand(len(rows))
        if moved.any():
            set_effective_weight(self.step, torch.where(across(moved, rounded), self.weight, rounded))

    @property
    def _goes_up(self) -> Tensor:
        steps = self.weight / self.scale
        return torch.floor(steps + 0.5) - torch.floor(steps)

    def _on_grid(self, steps: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(steps, self.lowest_step), self.highest_step) * self.scale


def rectified(variables: Tensor) -> Tensor:
    """h(v), 0 to 1."""
    return (1.2 * torch.sigmoid(variables) - 0.1).clamp(0.0, 1.0)


def learn_rounding(
    module: QuantizedNetwork,
    unit: Unit,
    held: UnitTensors,
    steps: int,
    randomness: np.random.Generator,
    reporter: Reporter,
) -> None:
    """Learn how a unit's weights below 8 bits are rounded, and write them.

    What rounding to nearest does better on the samples stays rounded to nearest.

    Args:
        module: its weights are written.
        unit: whose weights are rounded.
        held: its tensors.
        steps: of the optimizer; the reporter advances once for each.
        randomness: chooses the samples of a step.
        reporter: is told.
    """
    of_module = QuantizedSteps(module)
    neighbours = {
        index: Neighbours.of(of_module.weight_step(index))
        for index in learned_layers(module.network, module.allocation, unit)
    }
    variables = {index: each.start() for index, each in neighbours.items()}
    nearest = {index: each.nearest() for index, each in neighbours.items()}
    error_of_nearest = _mean_error(module, unit, held, nearest)
    optimizer = torch.optim.Adam(variables.values(), lr=LEARNING_RATE)
    weights = sum(each.numel() for each in variables.values())
    for step in range(steps):
        chosen = torch.from_numpy(randomness.choice(len(held), min(BATCH, len(held)), replace=False))
        soft = {index: each.soft(variables[index]) for index, each in neighbours.items()}
        loss = _error(module, unit, held, chosen, soft) / max(error_of_nearest, 1e-30)
        beta = beta_at(step / steps)
        if beta is not None:
            open_ones = [1 - (2 * rectified(each) - 1).abs().pow(beta) for each in variables.values()]
            loss = loss + REGULARISER * sum(each.sum() for each in open_ones) / weights
        gradients = torch.autograd.grad(loss, list(variables.values()))
        for each, gradient in zip(variables.values(), gradients, strict=True):
            each.grad = gradient
        optimizer.step()
        reporter.advance(len(chosen), loss.item())
    hard = {index: each.hard(variables[index].detach()) for index, each in neighbours.items()}
    error_of_hard = _mean_error(module, unit, held, hard)
    if error_of_hard < error_of_nearest:
        for index, rounded in hard.items():
            neighbours[index].write(rounded)


def learned_layers(network: Network, allocation: Allocation, unit: Unit) -> list[int]:
    """The indices of a unit's layers whose rounding is learned: at 8 bits, nothing is left to gain."""
    bits = {index: allocation.weight_bits.get(network.layers[index].name, WIDEST_BITS) for index in unit.indices}
    return [index for index in unit.indices if bits[index] < WIDEST_BITS]


def beta_at(done: float) -> float | None:
    """The regulariser's exponent after a share of the steps; None while there is no regulariser."""
    if done < WARM_UP:
        return None
    return LAST_BETA + (FIRST_BETA - LAST_BETA) * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


def _error(
    module: QuantizedNetwork, unit: Unit, held: UnitTensors, chosen: Tensor | slice, weights: dict[int, Tensor]
) -> Tensor:
    """The mean squared error of what the unit writes, before that is quantized."""
    steps = QuantizedSteps(module, weights)
    given = {tensor: values[chosen] for tensor, values in held.of_quantized.items()}
    last = unit.end - 1
    inputs = module.network.layers[last].inputs
    found = run_between(module.network, given, range(unit.first, last), inputs, steps)
    got = steps.real(last, [found[tensor] for tensor in inputs])
    return (got - held.target[chosen]).square().mean()


@torch.no_grad()
def _mean_error(module: QuantizedNetwork, unit: Unit, held: UnitTensors, weights: dict[int, Tensor]) -> float:
    total = 0.0
    for batch in batches(len(held)):
        total += _error(module, unit, held, batch, weights).item() * (batch.stop - batch.start)
    return total / len(held)
