"""Learned rounding (AdaRound): each weight is rounded up or down on its quantization grid so that the output error of
its block of layers is least.

With a weight w, the scale s and the zero point z of its grid, its bits b and a variable v (AdaRound, arXiv 2004.10568):

    soft weight     s * clamp(floor(w / s) + h(v), -z, 2^b - 1 - z)                                 equation 22
    rectified       h(v) = clamp(1.2 * sigmoid(v) - 0.1, 0, 1)                                      equation 23
    regulariser     1 - |2 h(v) - 1|^beta; beta falls, so h is free at first, then forced to 0 or 1 equation 24
    loss            squared error of the block's output for quantized inputs, + regulariser         equations 21 and 25

v starts where the soft weight equals the float weight. A weight whose v ends at 0 or above is rounded up. The squared
error is that of a whole block behind its activation function (BRECQ, arXiv 2102.05426), divided by the error of
rounding to nearest, so that one weight of the regulariser suits every block.

The learned weights are stored as values on the grid, so that rounding to nearest, in training and in conversion,
reproduces them. If the grid depends on the weights (minimum and maximum), the smallest and the largest weight of each
channel keep their codes, so that the grid does not move.
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
from qat.post_training.block_inputs import BlockTensors, QuantizedLayers, batches
from qat.post_training.blocks import Block
from qat.post_training.clipping import grid_depends_on_weights
from qat.post_training.effective_weights import effective_weight, set_effective_weight
from qat.quantized_network import QuantizedNetwork
from qat.quantizers.weights import across
from qat.training.reporting import Reporter
from qat.weight_step import WeightStep

BATCH: Final = 32
"""Largest number of samples in an optimizer step of learned rounding."""
LEARNING_RATE: Final = 3e-2
REGULARISER: Final = 0.1
"""Weight of AdaRound's regulariser in the loss."""
WARM_UP: Final = 0.2
"""Share of the optimizer steps, at the start, without AdaRound's regulariser."""

FIRST_BETA: Final = 20.0
"""Exponent beta of AdaRound's regulariser when it starts."""
LAST_BETA: Final = 2.0
"""Exponent beta of AdaRound's regulariser at the last optimizer step."""


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The two values on the quantization grid, below and above, to which each weight of a layer can be rounded.

    A level is an integer multiple of the scale: code minus zero point.

    Attributes:
        step: The layer.
        weight: Effective weights of the layer, float32 [output channels, ...].
        scale: Scale s of the grid, float32 [1, 1, ...] or [output channels, 1, ...]; negative if the layer's step size
            is negative.
        lowest_level: Lowest level -z, with the shape of `scale`.
        highest_level: Highest level 2^b - 1 - z, with the shape of `scale`.
        fixed: Whether a weight must be rounded to nearest, bool with the shape of `weight`.
    """

    step: WeightStep
    weight: Tensor
    scale: Tensor
    lowest_level: Tensor
    highest_level: Tensor
    fixed: Tensor

    @classmethod
    def of(cls, step: WeightStep) -> Neighbours:
        """Return the two values on the quantization grid for each of a layer's current weights.

        Args:
            step: The layer.
        """
        weight = effective_weight(step)
        grid = step.quantizer.grid(weight)
        scale, zero_point = across(grid.scale, weight), across(grid.zero_point, weight)
        fixed = weight == 0  # zero is on every grid, and a folded gain of zero allows no other value
        if grid_depends_on_weights(step, weight):
            rows = weight.flatten(1) if len(scale) > 1 else weight.reshape(1, -1)
            fixed_rows = fixed.view(rows.shape)
            fixed_rows.scatter_(1, rows.argmin(dim=1, keepdim=True), value=True)
            fixed_rows.scatter_(1, rows.argmax(dim=1, keepdim=True), value=True)
        return cls(step, weight, scale, -zero_point, top_code(step.bits) - zero_point, fixed)

    def start(self) -> Tensor:
        """Return AdaRound's variables v at which the soft weight equals the real weight, for each weight inside the
        quantization grid.
        """
        levels = self.weight / self.scale
        rest = (levels - torch.floor(levels) + 0.1) / 1.2
        return torch.log(rest / (1 - rest)).requires_grad_()

    def soft(self, variables: Tensor) -> Tensor:
        """Return AdaRound's soft weights, which are between the two neighbours on the quantization grid and have
        gradients.

        Args:
            variables: The variables v, float32 with the shape of the weights.
        """
        up = torch.where(self.fixed, self._rounds_up, rectified(variables))
        return self._on_grid(torch.floor(self.weight / self.scale) + up)

    def hard(self, variables: Tensor) -> Tensor:
        """Return the weights rounded on the quantization grid: up where the variable v is 0 or above, else down.

        Args:
            variables: The variables v, float32 with the shape of the weights.
        """
        up = torch.where(self.fixed, self._rounds_up, (variables >= 0).float())
        return self._on_grid(torch.floor(self.weight / self.scale) + up)

    def nearest(self) -> Tensor:
        """Return the weights rounded to the nearest values on the quantization grid, with ties rounded up."""
        return self._on_grid(torch.floor(self.weight / self.scale + 0.5))

    def write(self, rounded: Tensor) -> None:
        """Store rounded weights in the layer; a channel whose quantization grid would change keeps its original
        weights.

        Args:
            rounded: Weights on the grid, float32 [output channels, ...].
        """
        set_effective_weight(self.step, rounded)
        read_back = self.step.quantizer(effective_weight(self.step)).detach()
        differs = (read_back - rounded).abs() > self.scale.abs() / 4
        moved = differs.flatten(1).any(dim=1) if len(self.scale) > 1 else differs.any().expand(len(differs))
        if moved.any():
            set_effective_weight(self.step, torch.where(across(moved, rounded), self.weight, rounded))

    @property
    def _rounds_up(self) -> Tensor:
        """For each weight, 1 if the nearest value on the quantization grid is above the weight, else 0."""
        levels = self.weight / self.scale
        return torch.floor(levels + 0.5) - torch.floor(levels)

    def _on_grid(self, levels: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(levels, self.lowest_level), self.highest_level) * self.scale


def rectified(variables: Tensor) -> Tensor:
    """Return the rectified sigmoid h(v) = clamp(1.2 * sigmoid(v) - 0.1, 0, 1) (AdaRound, arXiv 2004.10568, equation
    23).

    Args:
        variables: The variables v, float32 of any shape.
    """
    return (1.2 * torch.sigmoid(variables) - 0.1).clamp(0.0, 1.0)


def learn_rounding(
    module: QuantizedNetwork,
    block: Block,
    tensors: BlockTensors,
    steps: int,
    randomness: np.random.Generator,
    reporter: Reporter,
) -> None:
    """Learn to round the weights with fewer than 8 bits in a block of layers up or down, and store the rounded weights.

    If rounding to nearest has a smaller error on the samples, the block keeps its weights.

    Args:
        module: The fake-quantized network, whose weights are changed.
        block: The block whose weights are rounded.
        tensors: Input and target tensors of the block.
        steps: Number of optimizer steps, from 1; the reporter advances once per step.
        randomness: Random generator that chooses the samples of each step.
        reporter: Receiver of the progress.
    """
    layers = QuantizedLayers(module)
    neighbours = {
        index: Neighbours.of(layers.weight_step(index))
        for index in learned_layers(module.network, module.allocation, block)
    }
    variables = {index: each.start() for index, each in neighbours.items()}
    nearest = {index: each.nearest() for index, each in neighbours.items()}
    nearest_error = _mean_error(module, block, tensors, nearest)
    optimizer = torch.optim.Adam(variables.values(), lr=LEARNING_RATE)
    weights = sum(each.numel() for each in variables.values())
    for step in range(steps):
        chosen = torch.from_numpy(randomness.choice(len(tensors), min(BATCH, len(tensors)), replace=False))
        soft = {index: each.soft(variables[index]) for index, each in neighbours.items()}
        loss = _error(module, block, tensors, chosen, soft) / max(nearest_error, 1e-30)
        beta = beta_at(step / steps)
        if beta is not None:
            penalties = [1 - (2 * rectified(each) - 1).abs().pow(beta) for each in variables.values()]
            loss = loss + REGULARISER * sum(each.sum() for each in penalties) / weights
        gradients = torch.autograd.grad(loss, list(variables.values()))
        for each, gradient in zip(variables.values(), gradients, strict=True):
            each.grad = gradient
        optimizer.step()
        reporter.advance(len(chosen), loss.item())
    hard = {index: each.hard(variables[index].detach()) for index, each in neighbours.items()}
    if _mean_error(module, block, tensors, hard) < nearest_error:
        for index, rounded in hard.items():
            neighbours[index].write(rounded)


def learned_layers(network: Network, allocation: Allocation, block: Block) -> list[int]:
    """Return the indices of a block's layers whose rounding is learned: those with weights of fewer than 8 bits.

    With 8 bits, learned rounding brings no gain. Weights that several layers share are rounded to nearest: what is best
    for the output of one block is not for those of the others.

    Args:
        network: The network of the block.
        allocation: Bits of its weights and activations.
        block: The block.
    """
    bits = {index: allocation.weight_bits.get(network.layers[index].name, WIDEST_BITS) for index in block.indices}
    return [
        index
        for index in block.indices
        if bits[index] < WIDEST_BITS and not network.weight_owners.is_shared(network.layers[index].name)
    ]


def beta_at(done: float) -> float | None:
    """Return the exponent beta of AdaRound's regulariser, which falls from `FIRST_BETA` to `LAST_BETA`; None during the
    warm-up.

    Args:
        done: Share of the optimizer steps that are done, 0 to 1.
    """
    if done < WARM_UP:
        return None
    return LAST_BETA + (FIRST_BETA - LAST_BETA) * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


def _error(
    module: QuantizedNetwork, block: Block, tensors: BlockTensors, chosen: Tensor | slice, weights: dict[int, Tensor]
) -> Tensor:
    """Return the mean squared error of a block's output before quantization, against the float network, for the chosen
    samples, as a share of the largest squared output of the float network.
    """
    layers = QuantizedLayers(module, weights)
    given = {tensor: values[chosen] for tensor, values in tensors.quantized_inputs.items()}
    last = block.end - 1
    names = module.network.layers[last].inputs
    inputs = run_between(module.network, given, range(block.first, last), names, layers)
    output = layers.unquantized_output(last, [inputs[name] for name in names])
    # Squares of outputs above 1e19 or below 1e-19 would leave the range of float32.
    return ((output - tensors.target[chosen]) / tensors.largest_target).square().mean()


@torch.no_grad()
def _mean_error(module: QuantizedNetwork, block: Block, tensors: BlockTensors, weights: dict[int, Tensor]) -> float:
    total = 0.0
    for batch in batches(len(tensors)):
        total += _error(module, block, tensors, batch, weights).item() * (batch.stop - batch.start)
    return total / len(tensors)
