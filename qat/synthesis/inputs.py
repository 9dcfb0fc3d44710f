"""Inputs that are made from a network alone: noise, optimized until batch norm's statistics are met (ZeroQ).

Batch norm has stored the mean and the variance of each channel over the training samples. Inputs with the same
statistics in every layer have activations like those of the training samples (arXiv 2001.00281, section 3.1). No label,
no image prior and no generator is needed (docs/decisions/0032-no-samples.md compares).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch import Tensor

from network.network import Network
from qat.data.dataset import Samples
from qat.data.unseen import UnseenSamples
from qat.prepare import float_module
from qat.synthesis.input_values import Bounds, bounds_of, samples_of
from qat.synthesis.statistics import statistics_distance
from qat.training.compiling import multiply_accumulates
from qat.training.memory_warning import training_bytes

MOST_INPUTS: Final = 256
FEWEST_INPUTS: Final = 32
"""Bounds of the number of inputs that are made."""

STEPS: Final = 150
"""Number of optimizer steps of each batch of inputs."""

LARGEST_BATCH: Final = 64
"""Largest number of inputs whose statistics are those of one batch."""

SMALLEST_BATCH: Final = 8
MOST_BATCH_BYTES: Final = 2**31
"""Size of a batch's activations above which a batch has fewer inputs, at least `SMALLEST_BATCH`. It does not depend on
the machine, so that equal seeds give equal inputs."""

MOST_MULTIPLY_ACCUMULATES: Final = 6e12
"""Number of multiply-accumulates of all forward passes above which fewer inputs are made, at least `FEWEST_INPUTS`."""

LEARNING_RATE: Final = 0.4
"""Learning rate at the start, in units of the scale of the noise; it falls to 0 along a cosine."""

_SCALE_EXPONENTS: Final = range(-10, 11)
_DEVIATIONS_TO_BOUND: Final = 4.0
"""Standard deviations of the noise between the two bounds of an input."""

Advance = Callable[[int, int, float], None]
"""Callback that receives the number of finished optimizer steps, the number of all steps, and the last distance."""


def make_inputs(network: Network, unseen: UnseenSamples, seed: int, advance: Advance) -> Samples:
    """Make inputs for a network of which no samples are known.

    Args:
        network: The network, with weights and at least one batch norm.
        unseen: What is known of the samples.
        seed: Seed of the noise; equal seeds give equal inputs on one machine.
        advance: Receiver of the progress.

    Returns:
        Samples as a dataset stores them, [n, *dims].
    """
    batches = batch_sizes(network)
    bounds = [bounds_of(network, each, unseen) for each in network.inputs]
    maker = _Maker(network, bounds)
    made: list[list[Tensor]] = []
    for number, size in enumerate(batches):
        noise = torch.Generator().manual_seed(seed_of_batch(seed, number))
        done = number * STEPS

        def told(step: int, distance: float, done: int = done) -> None:
            advance(done + step, len(batches) * STEPS, distance)

        made.append(maker.batch(size, noise, told))
    return samples_of(network, [torch.cat(parts) for parts in zip(*made, strict=True)], unseen)


def seed_of_batch(seed: int, number: int) -> int:
    """Return the seed of one batch of inputs, below 2^63.

    Args:
        seed: Seed of all inputs, from 0.
        number: Number of the batch, from 0.
    """
    return (seed * 1_000_003 + number) % 2**63


def batch_sizes(network: Network) -> list[int]:
    """Return the number of inputs of each batch; large networks have fewer and smaller batches.

    Args:
        network: The network, with weights.
    """
    of_one = training_bytes(network, 1) - training_bytes(network, 0)
    size = min(max(MOST_BATCH_BYTES // max(of_one, 1), SMALLEST_BATCH), LARGEST_BATCH)
    affordable = MOST_MULTIPLY_ACCUMULATES / (STEPS * max(multiply_accumulates(network), 1))
    count = min(max(affordable, FEWEST_INPUTS), MOST_INPUTS)
    return [size] * math.ceil(count / size)


class _Maker:
    """Optimizer of batches of inputs.

    Args:
        network: The network, with a batch norm.
        bounds: Bounds of each input in the order of the network, or None where they are not known.
    """

    def __init__(self, network: Network, bounds: Sequence[Bounds | None]) -> None:
        self._network, self._bounds = network, bounds
        self._float_network = float_module(network).requires_grad_(False)
        scale = self._scale_of_unknown() if None in bounds else 1.0
        zero = torch.zeros(1, 1, 1, 1)
        self._middles = [zero if each is None else (each.low + each.high) / 2 for each in bounds]
        self._scales = [
            zero + scale if each is None else (each.high - each.low) / _DEVIATIONS_TO_BOUND for each in bounds
        ]

    def batch(self, size: int, noise: torch.Generator, advance: Callable[[int, float], None]) -> list[Tensor]:
        """Return one batch of values of each input tensor.

        Args:
            size: Number of inputs.
            noise: Generator of the noise.
            advance: Receiver of the number of finished steps and the last distance.
        """
        units = [torch.randn(size, *each.shape, generator=noise).requires_grad_() for each in self._network.inputs]
        optimizer = torch.optim.Adam(units, lr=LEARNING_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        for step in range(STEPS):
            distance, beyond = self._distance(units)
            gradients = torch.autograd.grad(distance + beyond, units)
            for unit, gradient in zip(units, gradients, strict=True):
                unit.grad = gradient
            optimizer.step()
            schedule.step()
            advance(step + 1, float(distance.detach()))
        with torch.no_grad():
            return [
                values if bounds is None else bounds.clipped(values)
                for values, bounds in zip(self._values(units), self._bounds, strict=True)
            ]

    def _values(self, units: Sequence[Tensor]) -> list[Tensor]:
        return [middle + scale * unit for unit, middle, scale in zip(units, self._middles, self._scales, strict=True)]

    def _distance(self, units: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the distance of the statistics, and the mean squared distance of values beyond their bounds.

        The network reads clipped values with the gradient of unclipped ones.
        """
        beyond, read = torch.zeros(()), {}
        every = zip(self._network.inputs, self._values(units), self._scales, self._bounds, strict=True)
        for given, values, scale, bounds in every:
            read[given.name] = values
            if bounds is not None:
                outside = bounds.clipped(values) - values
                beyond = beyond + (outside / scale).square().mean()
                read[given.name] = values + outside.detach()
        return statistics_distance(self._float_network, read), beyond

    @torch.no_grad()
    def _scale_of_unknown(self) -> float:
        """Return the power of two with which noise has the statistics that are nearest to those of batch norm."""
        noise = torch.Generator().manual_seed(0)
        given = self._network.inputs
        units = {each.name: torch.randn(FEWEST_INPUTS, *each.shape, generator=noise) for each in given}
        distances = {
            2.0**exponent: float(
                statistics_distance(self._float_network, {name: unit * 2.0**exponent for name, unit in units.items()})
            )
            for exponent in _SCALE_EXPONENTS
        }
        return min(distances, key=lambda scale: (math.isnan(distances[scale]), distances[scale]))
