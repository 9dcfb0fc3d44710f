"""Learned rounding (AdaRound): each weight is rounded up or down on its quantization grid so that the output error of
its block of layers is least.

The rounding of a weight is a variable v, with h(v) from 0 to 1 (`qat.post_training.neighbours`). AdaRound (arXiv
2004.10568) minimises

    regulariser     1 - |2 h(v) - 1|^beta; beta falls, so h is free at first, then forced to 0 or 1 equation 24
    loss            squared error of the block's output for quantized inputs, + regulariser         equations 21 and 25

The squared error is that of a whole block behind its activation function (BRECQ, arXiv 2102.05426), divided by the
error of rounding to nearest, so that one weight of the regulariser suits every block.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor

from network.allocation import WIDEST_BITS, Allocation
from network.layers import WeightLayer
from network.network import Network
from qat.graph import run_between
from qat.post_training.block_inputs import BlockTensors, QuantizedLayers, batches
from qat.post_training.blocks import Block
from qat.post_training.channels import LEARNING_RATE as CHANNEL_LEARNING_RATE
from qat.post_training.channels import LearnedChannels
from qat.post_training.effective_weights import ChannelChange
from qat.post_training.neighbours import Neighbours, rectified
from qat.quantized_network import QuantizedNetwork
from qat.training.reporting import Reporter

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


def learn_rounding(
    module: QuantizedNetwork,
    block: Block,
    tensors: BlockTensors,
    *,
    steps: int,
    tunes_channels: bool,
    margin: float,
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
        tunes_channels: Whether factors and offsets of output channels are learned too (`qat.post_training.channels`).
        margin: Least distance of a stored weight from those that are rounded differently, in steps of the grid.
        randomness: Random generator that chooses the samples of each step.
        reporter: Receiver of the progress.
    """
    layers = QuantizedLayers(module)
    neighbours = {
        index: Neighbours.of(layers.weight_step(index))
        for index in learned_layers(module.network, module.allocation, block)
    }
    variables = {index: each.start() for index, each in neighbours.items()}
    tuned = _weighted(module.network, block) if tunes_channels else []
    channels = {index: LearnedChannels(layers.weight_step(index)) for index in tuned}
    nearest = {index: each.nearest() for index, each in neighbours.items()}
    nearest_error = _mean_error(module, block, tensors, nearest, {})
    of_channels = [each for channel in channels.values() for each in channel.variables]
    learned = [*variables.values(), *of_channels]
    optimizer = torch.optim.Adam(
        [
            {"params": list(variables.values()), "lr": LEARNING_RATE},
            {"params": of_channels, "lr": CHANNEL_LEARNING_RATE},
        ]
    )
    weights = sum(each.numel() for each in variables.values())
    for step in range(steps):
        chosen = torch.from_numpy(randomness.choice(len(tensors), min(BATCH, len(tensors)), replace=False))
        soft = {index: each.soft(variables[index]) for index, each in neighbours.items()}
        changes = {index: each.change() for index, each in channels.items()}
        loss = _error(module, block, tensors, chosen, soft, changes) / max(nearest_error, 1e-30)
        beta = beta_at(step / steps)
        if beta is not None:
            penalties = [1 - (2 * rectified(each) - 1).abs().pow(beta) for each in variables.values()]
            loss = loss + REGULARISER * sum(each.sum() for each in penalties) / weights
        for each, gradient in zip(learned, torch.autograd.grad(loss, learned), strict=True):
            each.grad = gradient
        optimizer.step()
        reporter.advance(len(chosen), loss.item())
    hard = {index: each.hard(variables[index].detach()) for index, each in neighbours.items()}
    changes = {index: each.change() for index, each in channels.items()}
    if _mean_error(module, block, tensors, hard, changes) < nearest_error:
        for index, rounded in hard.items():
            neighbours[index].write(rounded, margin)
        for channel in channels.values():
            channel.write()


def _weighted(network: Network, block: Block) -> list[int]:
    """Return the indices of a block's layers with weights."""
    return [index for index in block.indices if isinstance(network.layers[index], WeightLayer)]


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
    module: QuantizedNetwork,
    block: Block,
    tensors: BlockTensors,
    chosen: Tensor | slice,
    weights: dict[int, Tensor],
    changes: dict[int, ChannelChange],
) -> Tensor:
    """Return the mean squared error of a block's output before quantization, against the float network, for the chosen
    samples, as a share of the largest squared output of the float network.
    """
    layers = QuantizedLayers(module, weights, changes)
    given = {tensor: values[chosen] for tensor, values in tensors.quantized_inputs.items()}
    last = block.end - 1
    names = module.network.layers[last].inputs
    inputs = run_between(module.network, given, range(block.first, last), names, layers)
    output = layers.unquantized_output(last, [inputs[name] for name in names])
    # Squares of outputs above 1e19 or below 1e-19 would leave the range of float32.
    return ((output - tensors.target[chosen]) / tensors.largest_target).square().mean()


@torch.no_grad()
def _mean_error(
    module: QuantizedNetwork,
    block: Block,
    tensors: BlockTensors,
    weights: dict[int, Tensor],
    changes: dict[int, ChannelChange],
) -> float:
    total = 0.0
    for batch in batches(len(tensors)):
        total += _error(module, block, tensors, batch, weights, changes).item() * (batch.stop - batch.start)
    return total / len(tensors)
