"""Tiny networks and datasets for each task."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from network.host_steps import HostSteps
from network.layers import RELU, Convolution, FullyConnected, Layer, Padding, Shape
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from qat.data.dataset import Dataset, NoSamples
from qat.options.task import TaskKind
from qat.tasks.choice import Task
from qat.tasks.objectives import Categorical
from qat.tasks.task_objectives import TaskObjectives
from qat.training.label_source import LabelSource
from tests.qat.zoo import floats

SAMPLES = 96


def vector_network(outputs: int, seed: int = 0, *, steps: tuple[str, ...] = (), inputs: int = 6) -> Network:
    """Return two fully connected layers from `inputs` to `outputs` values."""
    rng = np.random.default_rng(seed)
    layers: tuple[Layer, ...] = (
        FullyConnected(
            name="hidden", inputs=("input",), output="hidden.out", activation=RELU, output_channels=16,
            weight=floats(rng, 16, inputs, scale=0.5), bias=floats(rng, 16, scale=0.1),
        ),
        FullyConnected(
            name="last", inputs=("hidden.out",), output="out", output_channels=outputs,
            weight=floats(rng, outputs, 16, scale=0.5), bias=floats(rng, outputs, scale=0.1),
        ),
    )  # fmt: skip
    host_steps = (HostSteps("given", ("out",), steps),) if steps else ()
    given = NetworkInput("input", Shape(inputs), InputFormat((inputs,)))
    return Network("vector", (given,), layers, ("out",), host_steps=host_steps)


def image_network(channels: int, seed: int = 0) -> Network:
    """Return two convolutions from images of 2 channels to images of `channels`, 6 x 5 pixels."""
    rng = np.random.default_rng(seed)
    layers: tuple[Layer, ...] = (
        Convolution(
            name="first", inputs=("input",), output="first.out", activation=RELU, output_channels=8, kernel=(3, 3),
            padding=Padding(1, 1, 1, 1), weight=floats(rng, 8, 2, 3, 3, scale=0.3), bias=floats(rng, 8, scale=0.1),
        ),
        Convolution(
            name="last", inputs=("first.out",), output="out", output_channels=channels, kernel=(1, 1),
            weight=floats(rng, channels, 8, 1, 1, scale=0.4), bias=floats(rng, channels, scale=0.1),
        ),
    )  # fmt: skip
    return Network("image", (NetworkInput("input", Shape(2, 6, 5), InputFormat((2, 6, 5))),), layers, ("out",))


def two_outputs(classes: int = 3) -> Network:
    """Return a network with an output of classes and one of its hidden values."""
    network = vector_network(classes)
    return replace(network, outputs=("out", "hidden.out"))


def dataset_for(network: Network, targets: npt.NDArray[Any] | None, test: npt.NDArray[Any] | None = None) -> Dataset:
    """Return random samples with the given targets, all of which are both training set and test set."""
    count = SAMPLES if targets is None else len(targets)
    samples = np.random.default_rng(7).standard_normal((count, *network.only_input.format.dims)).astype(np.float32)
    return Dataset("tiny", samples, targets, samples, targets if test is None else test)


def of_classes(network: Network) -> TaskObjectives:
    """Return the objective of a network with one output that has a value for each class."""
    (output,) = network.outputs
    task = Task(TaskKind.CLASSES, output, LabelSource.LABELS, LabelSource.LABELS)
    return TaskObjectives(task, Categorical(output, 0, network.shapes[output].elements), ())


def without_test_set(dataset: Dataset) -> Dataset:
    none = NoSamples(dataset.train_x.dtype, tuple(dataset.train_x.shape[1:]))
    return replace(dataset, test_x=none, test_y=None)


def outputs_for(network: Network, dataset: Dataset) -> npt.NDArray[np.float32]:
    """Return the float network's outputs on the training set, [n, values]."""
    import torch

    from qat.prepare import float_module

    shape = network.only_input.shape
    with torch.no_grad():
        found: npt.NDArray[np.float32] = float_module(network)(
            torch.from_numpy(np.asarray(dataset.train_x[:]).reshape(-1, *shape))
        ).numpy()
    return found
