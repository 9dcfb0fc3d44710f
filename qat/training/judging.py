"""How good a network is, as the device computes it: the integer-only network in the interpreter, and no other form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from deploy.integer_network import IntegerNetwork
from network.network import Network
from qat.conversion import convert
from qat.data.dataset import Dataset, Indices, Labels
from qat.float_network import FloatNetwork
from qat.quantized_network import QuantizedNetwork
from qat.training.evaluation import (
    classes_of,
    cross_entropy,
    evaluation_batches,
    logits_of,
    of_integers,
    of_module,
    percent,
)
from qat.training.label_source import LabelSource
from qat.training.reporting import Reporter

FLOAT_COST: Final = 1.0
DEPLOYED_COST: Final = 2.0
INTERPRETER_COST: Final = 2.0
"""Of an image, in forward passes of the float network; only the estimate of time depends on it."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Top-1 accuracy in percent of the test set, and how often the two quantized forms choose the same class."""

    float_percent: float
    fake_quantized_percent: float
    integer_only_percent: float
    top1_agreement_percent: float
    label_source: LabelSource = LabelSource.LABELS


def validated(
    module: QuantizedNetwork, dataset: Dataset, held_out: Indices, labels: Labels, epoch: int, reporter: Reporter
) -> tuple[float, float]:
    """Accuracy in percent, and cross-entropy, of the integer-only network that the module would be converted to now.

    Args:
        module: in training.
        dataset: whose training set the samples are of.
        held_out: their indices.
        labels: of the whole training set.
        epoch: for the reporter.
        reporter: is told.

    Raises:
        ConversionError: there is no such network.
    """
    network = module.network
    steps = len(evaluation_batches(network, len(held_out)))
    reporter.begin("validating", epoch=epoch, steps=steps, cost=INTERPRETER_COST)
    logits = logits_of(of_integers(convert(module), network), network, dataset.train_x, held_out, reporter)
    return percent(logits.argmax(axis=1) == labels[held_out]), cross_entropy(logits, labels[held_out])


def tested(
    float_network: FloatNetwork,
    module: QuantizedNetwork,
    integer_network: IntegerNetwork,
    dataset: Dataset,
    processor: torch.device,
    reporter: Reporter,
) -> Accuracy:
    """The accuracy of all three on the test set, which is looked at here alone."""
    network: Network = module.network
    taken = np.arange(len(dataset.test_x))
    steps = len(evaluation_batches(network, len(taken)))

    def begin(phase: str, cost: float) -> None:
        reporter.begin(phase, epoch=None, steps=steps, cost=cost)

    begin("testing the float network", FLOAT_COST)
    of_float = classes_of(of_module(float_network, network, processor), network, dataset.test_x, taken, reporter)
    begin("testing the fake-quantized network", DEPLOYED_COST)
    fake = of_module(module.deployed(), network, processor)
    of_fake = classes_of(fake, network, dataset.test_x, taken, reporter)
    begin("testing the integer-only network", INTERPRETER_COST)
    of_integer = classes_of(of_integers(integer_network, network), network, dataset.test_x, taken, reporter)
    labels = of_float if dataset.test_y is None else dataset.test_y
    return Accuracy(
        percent(of_float == labels),
        percent(of_fake == labels),
        percent(of_integer == labels),
        percent(of_integer == of_fake),
        LabelSource.FLOAT_NETWORK if dataset.test_y is None else LabelSource.LABELS,
    )
