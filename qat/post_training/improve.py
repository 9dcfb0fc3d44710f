"""Post-training quantization: improves a calibrated network without labels and without training."""

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
from qat.post_training.block_inputs import block_tensors, samples_in_memory
from qat.post_training.blocks import Block, blocks_of
from qat.post_training.clipping import clip_weights
from qat.post_training.rounding import BATCH, learn_rounding, learned_layers
from qat.quantized_network import QuantizedNetwork
from qat.training.reporting import Reporter

# Cost of one sample in the layers that it runs through, in forward passes of the float network through these layers.
# Only the estimate of the remaining time depends on these numbers.
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
    """Learn the rounding of a network's weights and correct its biases, one block of layers at a time.

    Every block reads the outputs of earlier blocks, which are already improved. Batch norm that the scheme folds is
    folded first, because the rounding is learned for the folded weights.

    Args:
        module: The calibrated fake-quantized network, whose weights, biases and running means are changed.
        float_network: The same network in float, whose outputs are the target.
        samples: Unlabelled samples as the dataset stores them; the first `options.samples` of them are used.
        options: The post-training steps that are run.
        reporter: Receiver of the progress; each block reports up to three phases.
    """
    if not options.improves:
        return
    module.fold()
    if options.rounding is Rounding.LEARNED:
        for step in module.storing_steps():
            if step.bits < WIDEST_BITS:
                clip_weights(step)
    used = samples[: options.samples]
    for number, plan in enumerate(_block_plans(module.network, module.allocation, len(used), options)):
        block = plan.block
        reporter.begin("running up to a block", epoch=0, steps=1, cost=plan.run_cost)
        tensors = block_tensors(module, float_network, block, used[: plan.samples])
        reporter.advance(plan.samples)
        if plan.rounding_steps:
            reporter.begin("learning rounding", epoch=0, steps=plan.rounding_steps, cost=plan.rounding_cost)
            randomness = np.random.default_rng([options.seed, 5, number])
            learn_rounding(
                module, block, tensors, steps=plan.rounding_steps, tunes_channels=options.channel_tuning,
                margin=options.rounding_margin, randomness=randomness, reporter=reporter,
            )  # fmt: skip
        if options.bias_correction:
            reporter.begin("correcting biases", epoch=0, steps=1, cost=plan.bias_cost)
            correct_biases(module, float_network, block, tensors)
            reporter.advance(plan.samples)


def improvement_cost(network: Network, allocation: Allocation, samples: int, options: PostTrainingOptions) -> float:
    """Return the total cost of post-training quantization by `improve`, in forward passes of one image through the
    float network.

    Args:
        network: The network that is improved.
        allocation: Bits of its weights and activations.
        samples: Number of available samples, from 1.
        options: The post-training steps that are run.
    """
    if not options.improves:
        return 0.0
    return sum(plan.cost for plan in _block_plans(network, allocation, min(samples, options.samples), options))


@dataclass(frozen=True, slots=True)
class _BlockPlan:
    """Planned post-training work on one block of layers, and its cost.

    Attributes:
        block: The block.
        samples: Number of samples that the block uses, from 1.
        rounding_steps: Number of optimizer steps that learn rounding; 0 if nothing is learned.
        run_cost: Cost per sample of running both networks up to the block, in forward passes of the float network.
        rounding_cost: Cost per sample of an optimizer step, in the same unit.
        bias_cost: Cost per sample of correcting biases, in the same unit.
    """

    block: Block
    samples: int
    rounding_steps: int
    run_cost: float
    rounding_cost: float
    bias_cost: float

    @property
    def cost(self) -> float:
        """Cost of all post-training work on the block of layers, in forward passes of one image through the float
        network.
        """
        learning = self.rounding_steps * min(BATCH, self.samples) * self.rounding_cost
        return self.samples * (self.run_cost + self.bias_cost) + learning


def _block_plans(
    network: Network, allocation: Allocation, samples: int, options: PostTrainingOptions
) -> list[_BlockPlan]:
    work = [
        layer.multiply_accumulates(network.input_shapes(layer)) if isinstance(layer, WeightLayer) else 0
        for layer in network.layers
    ]
    total = max(sum(work), 1)
    plans = []
    for block in blocks_of(network):
        share = sum(work[block.first : block.end]) / total
        learns = options.rounding is Rounding.LEARNED and bool(learned_layers(network, allocation, block))
        plans.append(
            _BlockPlan(
                block,
                samples_in_memory(network, block, samples),
                options.rounding_steps if learns else 0,
                _RUN_COST * sum(work[: block.end]) / total,
                _ROUNDING_COST * share,
                _BIAS_COST * share if options.bias_correction else 0.0,
            )
        )
    return plans
