"""What a network answers for many samples: the logits of torch modules and of the integer-only network."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deploy.integer_network import IntegerNetwork
from deploy.interpreter import quantize_input, run
from network.layers import Float32Array
from network.network import Network
from qat.data.batches import tensor_of
from qat.data.dataset import Indices, Labels, Samples, SampleSource, to_input_tensor
from qat.data.loader import sample_batches
from qat.training.reporting import Reporter

Answer = Callable[[Samples], Float32Array]
"""Samples as a dataset holds them -> logits [n, classes]."""

_ELEMENTS_AT_ONCE = 2**22
_SAMPLES_AT_ONCE = 256


def evaluation_batches(network: Network, samples: int) -> list[slice]:
    """Batches whose largest activation tensor stays at a few million elements."""
    largest = max(shape.elements for shape in network.shapes.values())
    size = max(1, min(_SAMPLES_AT_ONCE, _ELEMENTS_AT_ONCE // largest))
    return [slice(start, start + size) for start in range(0, samples, size)]


def of_module(forward: Callable[[Tensor], Tensor], network: Network, processor: torch.device) -> Answer:
    """What a torch network answers."""

    @torch.inference_mode()
    def answer(samples: Samples) -> Float32Array:
        logits: Float32Array = forward(tensor_of(samples, network).to(processor)).float().cpu().numpy()
        return logits

    return answer


def of_integers(integer_network: IntegerNetwork, network: Network) -> Answer:
    """What the interpreter answers: its output codes, as the real values that they stand for."""
    tensor = integer_network.tensors[integer_network.outputs[0]]

    def answer(samples: Samples) -> Float32Array:
        codes = run(integer_network, quantize_input(integer_network, to_input_tensor(samples, network)))
        # An output that is an image is flattened as the float network flattens it: channel, height, width.
        flat = codes[tensor.name].transpose(0, 3, 1, 2).reshape(len(samples), -1)
        return ((flat.astype(np.float64) - tensor.zero_point) * tensor.scale).astype(np.float32)

    return answer


def answers(
    answer: Answer, network: Network, source: SampleSource, taken: Indices, reporter: Reporter
) -> Iterator[tuple[slice, Float32Array]]:
    """The logits for some samples, a batch at a time with its place among them; one step of the reporter a batch."""
    batches = evaluation_batches(network, len(taken))
    read = sample_batches(source, [taken[batch] for batch in batches])
    for batch, samples in zip(batches, read, strict=True):
        yield batch, answer(samples)
        reporter.advance(len(samples))


def logits_of(
    answer: Answer, network: Network, source: SampleSource, taken: Indices, reporter: Reporter
) -> Float32Array:
    """The logits for some samples, float32 [n, classes]."""
    logits = np.empty((len(taken), network.shapes[network.outputs[0]].elements), dtype=np.float32)
    for batch, found in answers(answer, network, source, taken, reporter):
        logits[batch] = found
    return logits


def classes_of(answer: Answer, network: Network, source: SampleSource, taken: Indices, reporter: Reporter) -> Labels:
    """The class with the greatest logit for some samples, the first of equals, int64 [n]."""
    classes = np.empty(len(taken), dtype=np.int64)
    for batch, found in answers(answer, network, source, taken, reporter):
        classes[batch] = found.argmax(axis=1)
    return classes


def percent(agreeing: npt.NDArray[np.bool_]) -> float:
    """The share of true values, 0 to 100."""
    return 100.0 * float(agreeing.mean())


def cross_entropy(logits: Float32Array, labels: Labels) -> float:
    """The mean of -log softmax(logits)[label]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1))
    return float((normaliser - shifted[np.arange(len(labels)), labels]).mean())
