"""Evaluation of networks on many samples: logits and accuracies of torch modules and of the integer-only network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deploy.integer_network import IntegerNetwork
from deploy.interpreter import quantize_inputs, run
from network.layers import Float32Array
from network.network import Network
from qat.data.batches import tensor_of
from qat.data.dataset import Indices, Labels, Samples, SampleSource, to_input_tensor
from qat.data.loader import sample_batches
from qat.training.reporting import Reporter

Predictor = Callable[[Samples], Float32Array]
"""Function from samples [n, ...], in the form in which the dataset stores them, to logits [n, classes]."""

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
    """Return a function that computes the logits of samples with a torch module.

    Args:
        forward: The module, from normalised images [n, channels, height, width] to logits [n, classes].
        network: The network, which gives the input format.
        processor: The torch device of the module.
    """

    @torch.inference_mode()
    def predict(samples: Samples) -> Float32Array:
        logits: Float32Array = forward(tensor_of(samples, network).to(processor)).float().cpu().numpy()
        return logits

    return predict


def of_integers(integer_network: IntegerNetwork, network: Network) -> Predictor:
    """Return a function that computes the logits of samples with the integer interpreter, dequantized to real values.

    Args:
        integer_network: The integer-only network.
        network: The float network, which gives the input format.
    """
    tensor = integer_network.tensors[integer_network.outputs[0]]

    def predict(samples: Samples) -> Float32Array:
        codes = run(integer_network, quantize_inputs(integer_network, to_input_tensor(samples, network)))
        # An output image is flattened in the order of the float network: channel, height, width.
        flat = codes[tensor.name].transpose(0, 3, 1, 2).reshape(len(samples), -1)
        return ((flat.astype(np.float64) - tensor.zero_point) * tensor.scale).astype(np.float32)

    return predict


def logits_by_batch(
    predict: Predictor, network: Network, source: SampleSource, chosen: Indices, reporter: Reporter
) -> Iterator[tuple[slice, Float32Array]]:
    """Compute the logits that a network gives for the chosen samples, batch by batch.

    Args:
        predict: Function from samples to logits.
        network: The network, which gives the batch size.
        source: The samples.
        chosen: Indices of the chosen samples, int64 [n].
        reporter: Receiver of one step of progress per batch.

    Yields:
        The slice of a batch among the chosen samples, and its logits, float32 [batch, classes].
    """
    batches = evaluation_batches(network, len(chosen))
    read = sample_batches(source, [chosen[batch] for batch in batches])
    for batch, samples in zip(batches, read, strict=True):
        yield batch, predict(samples)
        reporter.advance(len(samples))


def logits_of(
    predict: Predictor, network: Network, source: SampleSource, chosen: Indices, reporter: Reporter
) -> Float32Array:
    """Compute the logits that a network gives for the chosen samples, float32 [n, classes]; the arguments are those of
    `logits_by_batch`.
    """
    logits = np.empty((len(chosen), network.shapes[network.outputs[0]].elements), dtype=np.float32)
    for batch, found in logits_by_batch(predict, network, source, chosen, reporter):
        logits[batch] = found
    return logits


def classes_of(
    predict: Predictor, network: Network, source: SampleSource, chosen: Indices, reporter: Reporter
) -> Labels:
    """Compute the class that a network predicts for each chosen sample, int64 [n]; the arguments are those of
    `logits_by_batch`.

    The predicted class is the one with the largest logit, the first one if several are equal.
    """
    classes = np.empty(len(chosen), dtype=np.int64)
    for batch, found in logits_by_batch(predict, network, source, chosen, reporter):
        classes[batch] = found.argmax(axis=1)
    return classes


def percent(agreeing: npt.NDArray[np.bool_]) -> float:
    """Return the percentage of true values in a boolean array, 0 to 100."""
    return 100.0 * float(agreeing.mean())


def cross_entropy(logits: Float32Array, labels: Labels) -> float:
    """Compute the mean cross-entropy in nats of logits [n, classes] with labels [n]: -log softmax(logits)[label]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1))
    return float((normaliser - shifted[np.arange(len(labels)), labels]).mean())
