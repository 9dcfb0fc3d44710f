"""Evaluation of networks on many samples: outputs of torch modules and of the integer-only network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from deploy.integer_network import IntegerNetwork
from deploy.interpreter import run
from network.layers import Float32Array
from network.network import Network
from qat.data.batches import tensor_of
from qat.data.dataset import Indices, Samples, SampleSource
from qat.data.integer_input import input_codes
from qat.data.loader import sample_batches
from qat.training.reporting import Reporter

Predictor = Callable[[Samples], Float32Array]
"""Function from samples [n, ...], in the form in which the dataset stores them, to all outputs, [n, values]."""

_ELEMENTS_AT_ONCE = 2**22
_SAMPLES_AT_ONCE = 256


def evaluation_batches(network: Network, samples: int) -> list[slice]:
    """Split samples into batches in which the network's largest activation tensor has at most a few million elements.

    Args:
        network: The network.
        samples: Number of samples.

    Returns:
        The slice of samples of each batch.
    """
    largest = max(shape.elements for shape in network.shapes.values())
    size = max(1, min(_SAMPLES_AT_ONCE, _ELEMENTS_AT_ONCE // largest))
    return [slice(start, start + size) for start in range(0, samples, size)]


def of_module(forward: Callable[[Tensor], Tensor], network: Network, processor: torch.device) -> Predictor:
    """Return a function that computes the outputs of samples with a torch module.

    Args:
        forward: The module, from normalised images [n, channels, height, width] to all outputs [n, values].
        network: The network, which gives the input format.
        processor: The torch device of the module.
    """

    @torch.inference_mode()
    def predict(samples: Samples) -> Float32Array:
        outputs: Float32Array = forward(tensor_of(samples, network).to(processor)).float().cpu().numpy()
        return outputs

    return predict


def of_integers(integer_network: IntegerNetwork) -> Predictor:
    """Return a function that computes the outputs of samples with the integer interpreter, dequantized to real values.

    Args:
        integer_network: The integer-only network.
    """
    outputs = [integer_network.tensors[name] for name in integer_network.outputs]

    def predict(samples: Samples) -> Float32Array:
        codes = run(integer_network, input_codes(integer_network, samples))
        parts = []
        for tensor in outputs:
            # An output image is flattened in the order of the float network: channel, height, width.
            flat = codes[tensor.name].transpose(0, 3, 1, 2).reshape(len(samples), -1)
            parts.append(((flat.astype(np.float64) - tensor.zero_point) * tensor.scale).astype(np.float32))
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    return predict


def samples_by_batch(
    network: Network, source: SampleSource, chosen: Indices, reporter: Reporter
) -> Iterator[tuple[Indices, Samples]]:
    """Read the chosen samples batch by batch, and count each batch as one step of progress when the next is read.

    Args:
        network: The network, which gives the batch size.
        source: The samples.
        chosen: Indices of the chosen samples, int64 [n].
        reporter: Receiver of one step of progress per batch.

    Yields:
        The indices of a batch's samples, and the samples, [batch, ...].
    """
    batches = [chosen[batch] for batch in evaluation_batches(network, len(chosen))]
    for indices, samples in zip(batches, sample_batches(source, batches), strict=True):
        yield indices, samples
        reporter.advance(len(samples))


def outputs_of(
    predict: Predictor, network: Network, source: SampleSource, chosen: Indices, reporter: Reporter
) -> Float32Array:
    """Compute all outputs that a network gives for the chosen samples, float32 [n, values].

    Args:
        predict: Function from samples to outputs.
        network: The network, which gives the batch size.
        source: The samples.
        chosen: Indices of the chosen samples, int64 [n].
        reporter: Receiver of one step of progress per batch.
    """
    outputs = np.empty((len(chosen), output_values(network)), dtype=np.float32)
    done = 0
    for _, samples in samples_by_batch(network, source, chosen, reporter):
        outputs[done : done + len(samples)] = predict(samples)
        done += len(samples)
    return outputs


def output_values(network: Network) -> int:
    """Return the number of values of all outputs of a network together, for one sample."""
    return sum(network.shapes[output].elements for output in network.outputs)
