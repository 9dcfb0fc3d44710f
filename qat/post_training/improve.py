"""The post-training path: what makes a calibrated network better without labels and without training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from network.allocation import WIDEST_BITS, Allocation
from network.layers import WeightLayer
from network.network import Network
from qat.data.dataset import SampleSource
from qat.float_network import FloatNetwork
from qat.options.post_training import PostTrainingOptions, Rounding
from qat.post_training.bias import correct_biases
from qat.post_training.block_inputs import held_samples, unit_tensors
from qat.post_training.blocks import Unit, units_of
from qat.post_training.clipping import clip_weights
from qat.post_training.rounding import BATCH, learn_rounding, learned_layers
from qat.quantized_network import QuantizedNetwork
from qat.training.reporting import Reporter

# What a sample costs in the layers that it passes, in forward passes of the float network; only the estimate of time
# depends on it.
_RUN_COST: Final = 2.5
_ROUNDING_COST: Final = 4.5
_BIAS_COST: Final = 4.0


def improve(
    module: QuantizedNetwork,
    float_network: FloatNetwork,
    samples: SampleSource,
    options: PostTrainingOptions,
    reporter: Reporter,
) -> None:
    """Learn how weights are rounded, then correct biases, one block of the network after the other.

    Every block works on what the blocks before it write once they are done. Batch norm that the scheme folds is folded
    first: what is learned belongs to the folded weights.

    Args:
        module: calibrated; its weights, biases and running means are written.
        float_network: the same network, which answers what should come out.
        samples: unlabelled, as the dataset holds them; as many as the options say are used, the first ones.
        options: what is done.
        reporter: is told; each block has its phases.
    """
    if not options.improves:
        return
    module.fold()
    if options.rounding is Rounding.LEARNED:
        for step in module.weight_steps():
            if step.bits < WIDEST_BITS:
                clip_weights(step)
    taken = samples[: options.samples]
    for number, plan in enumerate(_plans(module.network, module.allocation, len(taken), options)):
        unit = plan.unit
        reporter.begin("running up to a block", epoch=0, steps=1, cost=plan.run_cost)
        held = unit_tensors(module, float_network, unit, taken[: plan.samples])
        reporter.advance(plan.samples)
        if plan.rounding_steps:
            reporter.begin("learning rounding", epoch=0, steps=plan.rounding_steps, cost=plan.rounding_cost)
            randomness = np.random.default_rng([options.seed, 5, number])
            learn_rounding(module, unit, held, plan.rounding_steps, randomness, reporter)
        if options.bias_correction:
            reporter.begin("correcting biases", epoch=0, steps=1, cost=plan.bias_cost)
            correct_biases(module, float_network, unit, held)
            reporter.advance(plan.samples)


def improvement_cost(network: Network, allocation: Allocation, samples: int, options: PostTrainingOptions) -> float:
    """Of all of `improve`: images, each weighed in forward passes of the float network, as a reporter counts them.

    Args:
        network: that is improved.
        allocation: its bits.
        samples: as many as there are.
        options: what is done.
    """
    if not options.improves:
        return 0.0
    return sum(plan.cost for plan in _plans(network, allocation, min(samples, options.samples), options))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done to a unit, and what a sample costs there."""

    unit: Unit
    samples: int
    rounding_steps: int
    run_cost: float
    rounding_cost: float
    bias_cost: float

    @property
    def cost(self) -> float:
        learning = self.rounding_steps * min(BATCH, self.samples) * self.rounding_cost
        return self.samples * (self.run_cost + self.bias_cost) + learning


def _plans(network: Network, allocation: Allocation, samples: int, options: PostTrainingOptions) -> list[_Plan]:
    work = [
        layer.multiply_accumulates(network.input_shapes(layer)) if isinstance(layer, WeightLayer) else 0
        for layer in network.layers
    ]
    total = max(sum(work), 1)
    plans = []
    for unit in units_of(network):
        own = sum(work[unit.first : unit.end]) / total
        learns = options.rounding is Rounding.LEARNED and bool(learned_layers(network, allocation, unit))
        plans.append(
            _Plan(
                unit,
                held_samples(network, unit, samples),
                options.rounding_steps if learns else 0,
                _RUN_COST * sum(work[: unit.end]) / total,
                _ROUNDING_COST * own,
                _BIAS_COST * own if options.bias_correction else 0.0,
            )
        )
    return plans
