"""Bias correction: the mean error of every output channel goes into its bias (arXiv 1906.04721, section 4.2).

Rounding weights shifts the mean of a channel's output, by its weights' mean error times the mean input. The shift is
measured, as the paper's appendix D does: the mean over samples and pixels of what the float layer writes before its
activation function, less the same of the quantized layer behind layers that are corrected already.
"""

from __future__ import annotations

import torch

from network.layers import WeightLayer
from qat.float_network import FloatNetwork
from qat.graph import run_between
from qat.post_training.block_inputs import QuantizedSteps, UnitTensors, batches
from qat.post_training.blocks import Unit
from qat.post_training.effective_weights import shift_output
from qat.quantized_network import QuantizedNetwork


@torch.no_grad()
def correct_biases(module: QuantizedNetwork, float_network: FloatNetwork, unit: Unit, held: UnitTensors) -> None:
    """Correct the biases of a unit's layers, in schedule order.

    Args:
        module: its biases, or the running means of its batch norms, are shifted.
        float_network: what the means should be.
        unit: whose layers are corrected.
        held: its tensors.
    """
    network = module.network
    for index in unit.indices:
        layer = network.layers[index]
        if not isinstance(layer, WeightLayer):
            continue
        steps = QuantizedSteps(module)
        (source,) = layer.inputs
        before = range(unit.first, index)
        error = torch.zeros(layer.output_channels, dtype=torch.float64)
        for batch in batches(len(held)):
            given = {tensor: values[batch] for tensor, values in held.of_float.items()}
            inputs = run_between(network, given, before, [source], float_network.step)[source]
            wanted = float_network.before_function(index, [inputs])
            given = {tensor: values[batch] for tensor, values in held.of_quantized.items()}
            inputs = run_between(network, given, before, [source], steps)[source]
            got = steps.real(index, [inputs], before_function=True)
            error += (wanted - got).double().mean(dim=(2, 3)).sum(dim=0).cpu()
        step = steps.weight_step(index)
        shift_output(step, (error / len(held)).float().to(step.learned.weight.device))
