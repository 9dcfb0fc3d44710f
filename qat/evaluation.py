"""What a network answers for many samples: logits of torch modules, classes of the integer-only network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deploy.integer_network import IntegerNetwork
from deploy.interpreter import quantize_input, run
from network.layers import FloatArray
from network.network import Network
from qat.batches import tensor_of
from qat.datasets import Labels, Samples, to_input_tensor
from qat.reporting import Reporter

Classes = npt.NDArray[np.int64]

_ELEMENTS_AT_ONCE = 2**22
_SAMPLES_AT_ONCE = 256


def evaluation_batches(network: Network, samples: int) -> list[slice]:
    """Batches whose largest activation tensor stays at a few million elements."""
    largest = max(shape.elements for shape in network.shapes.values())
    size = max(1, min(_SAMPLES_AT_ONCE, _ELEMENTS_AT_ONCE // largest))
    return [slice(start, start + size) for start in range(0, samples, size)]


@torch.inference_mode()
def logits_of(
    forward: Callable[[Tensor], Tensor], network: Network, samples: Samples, reporter: Reporter
) -> FloatArray:
    """The logits that a torch network answers, float32 [n, classes]; one step of the reporter a batch."""
    classes = network.shapes[network.outputs[0]].elements
    logits = np.empty((len(samples), classes), dtype=np.float32)
    for batch in evaluation_batches(network, len(samples)):
        logits[batch] = forward(tensor_of(samples[batch], network)).numpy()
        reporter.advance(len(samples[batch]))
    return logits


def integer_classes(integer_network: IntegerNetwork, network: Network, samples: Samples, reporter: Reporter) -> Classes:
    """The class with the greatest code, by the interpreter; the first of equals. One step of the reporter a batch."""
    classes = np.empty(len(samples), dtype=np.int64)
    for batch in evaluation_batches(network, len(samples)):
        codes = quantize_input(integer_network, to_input_tensor(samples[batch], network))
        outputs = run(integer_network, codes)[integer_network.outputs[0]]
        # An output that is an image is flattened as the float network flattens it: channel, height, width.
        classes[batch] = outputs.transpose(0, 3, 1, 2).reshape(len(outputs), -1).argmax(axis=1)
        reporter.advance(len(outputs))
    return classes


def percent(agreeing: npt.NDArray[np.bool_]) -> float:
    """The share of true values, 0 to 100."""
    return 100.0 * float(agreeing.mean())


def cross_entropy(logits: FloatArray, labels: Labels) -> float:
    """The mean of -log softmax(logits)[label]."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    normaliser = np.log(np.exp(shifted).sum(axis=1))
    return float((normaliser - shifted[np.arange(len(labels)), labels]).mean())
