"""Bias correction: the mean of float output minus quantized output of each channel is added to its bias (arXiv
1906.04721, section 4.2).

Rounding the weights shifts the mean of a channel's output by the mean error of the weights times the mean input. The
shift is measured as in the paper's appendix D: the mean over samples and pixels of the float layer's output before its
activation function, minus the same mean of the quantized layer. The quantized layer reads the outputs of layers that
are already corrected.
"""

from __future__ import annotations

import torch

from network.layers import WeightLayer
from qat.float_network import FloatNetwork
from qat.graph import run_between
from qat.post_training.block_inputs import BlockTensors, QuantizedLayers, batches
from qat.post_training.blocks import Block
from qat.post_training.effective_weights import shift_output
from qat.quantized_network import QuantizedNetwork


@torch.no_grad()
def correct_biases(module: QuantizedNetwork, float_network: FloatNetwork, block: Block, tensors: BlockTensors) -> None:
    """Correct the biases of a block's layers, in schedule order, so that each channel's mean output equals that of the
    float network.

    Args:
        module: The fake-quantized network, whose biases or running means of batch norms are changed.
        float_network: The float network, whose channel means are the target.
        block: The block whose layers are corrected.
        tensors: Input and target tensors of the block.
    """
    network = module.network
    quantized_layers = QuantizedLayers(module)
    for index in block.indices:
        layer = network.layers[index]
        if not isinstance(layer, WeightLayer):
            continue
        (source,) = layer.inputs
        before = range(block.first, index)
        error = torch.zeros(layer.output_channels, dtype=torch.float64)
        for batch in batches(len(tensors)):
            given = {tensor: values[batch] for tensor, values in tensors.float_inputs.items()}
            inputs = run_between(network, given, before, [source], float_network.step)[source]
            target = float_network.before_function(index, [inputs])
            given = {tensor: values[batch] for tensor, values in tensors.quantized_inputs.items()}
            inputs = run_between(network, given, before, [source], quantized_layers)[source]
            output = quantized_layers.unquantized_output(index, [inputs], before_activation=True)
            error += (target - output).double().mean(dim=(2, 3)).sum(dim=0).cpu()
        step = quantized_layers.weight_step(index)
        shift_output(step, (error / len(tensors)).float().to(step.learned.weight.device))
