"""Validation and test of a training run: accuracies of the float, the fake-quantized and the integer-only network."""

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
"""Cost per image of each form of the network, in forward passes of the float network; used only to estimate the
remaining time."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy on the test set of the float network, the fake-quantized network and the integer-only network.

    Attributes:
        float_percent: Top-1 accuracy of the float network, in percent.
        fake_quantized_percent: Top-1 accuracy of the fake-quantized network in evaluation mode, in percent.
        integer_only_percent: Top-1 accuracy of the integer-only network, in percent.
        top1_agreement_percent: Percentage of test samples for which the fake-quantized and the integer-only network
            predict the same class.
        label_source: Source of the labels that the predictions are compared with.
    """

    float_percent: float
    fake_quantized_percent: float
    integer_only_percent: float
    top1_agreement_percent: float
    label_source: LabelSource = LabelSource.LABELS


def validate(
    module: QuantizedNetwork, dataset: Dataset, held_out: Indices, labels: Labels, epoch: int, reporter: Reporter
) -> tuple[float, float]:
    """Convert the fake-quantized network to an integer-only network, and evaluate that on the held-out split of the
    training set.

    Args:
        module: The fake-quantized network.
        dataset: The dataset, whose training set contains the held-out split.
        held_out: Indices of the held-out samples in the training set, int64 [n].
        labels: Labels of the whole training set, int64.
        epoch: Number of the epoch, for the progress.
        reporter: Receiver of the progress.

    Returns:
        Accuracy in percent, and mean cross-entropy in nats.

    Raises:
        ConversionError: If the network has no integer-only form.
    """
    network = module.network
    steps = len(evaluation_batches(network, len(held_out)))
    reporter.begin("validating", epoch=epoch, steps=steps, cost=INTERPRETER_COST)
    logits = logits_of(of_integers(convert(module)), network, dataset.train_x, held_out, reporter)
    return percent(logits.argmax(axis=1) == labels[held_out]), cross_entropy(logits, labels[held_out])


def accuracy_on_test_set(
    float_network: FloatNetwork,
    module: QuantizedNetwork,
    integer_network: IntegerNetwork,
    dataset: Dataset,
    processor: torch.device,
    reporter: Reporter,
) -> Accuracy:
    """Evaluate the float, the fake-quantized and the integer-only network on the test set, which is used only here.

    Args:
        float_network: The float network.
        module: The fake-quantized network.
        integer_network: The integer-only network that was converted from it.
        dataset: The dataset. Without test labels, the predictions of the float network are the labels.
        processor: The torch device of the float network and the fake-quantized network.
        reporter: Receiver of the progress.
    """
    network: Network = module.network
    every = np.arange(len(dataset.test_x))
    steps = len(evaluation_batches(network, len(every)))

    def begin(phase: str, cost: float) -> None:
        reporter.begin(phase, epoch=None, steps=steps, cost=cost)

    begin("testing the float network", FLOAT_COST)
    of_float = classes_of(of_module(float_network, network, processor), network, dataset.test_x, every, reporter)
    begin("testing the fake-quantized network", DEPLOYED_COST)
    fake = of_module(module.deployed(), network, processor)
    of_fake = classes_of(fake, network, dataset.test_x, every, reporter)
    begin("testing the integer-only network", INTERPRETER_COST)
    of_integer = classes_of(of_integers(integer_network), network, dataset.test_x, every, reporter)
    labels = of_float if dataset.test_y is None else dataset.test_y
    return Accuracy(
        percent(of_float == labels),
        percent(of_fake == labels),
        percent(of_integer == labels),
        percent(of_integer == of_fake),
        LabelSource.FLOAT_NETWORK if dataset.test_y is None else LabelSource.LABELS,
    )
