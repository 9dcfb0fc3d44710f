"""Tasks of networks with several inputs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from network.errors import DatasetError
from network.joined_samples import joined_dims
from network.layers import Add, FullyConnected
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset
from qat.options.task import TaskKind
from qat.options.training import TrainingOptions
from qat.tasks.choice import choose_task, targets_of
from qat.train import train
from tests.qat.tasks.task_networks import image_network, vector_network
from tests.qat.test_input_range import SCHEME
from tests.qat.zoo import allocation_of, floats

N = 40
RNG = np.random.default_rng(5)


def with_vector_first(network: Network, output: str) -> Network:
    """Return a network that adds a layer over a further vector, which is its first input, to a vector output."""
    given = NetworkInput("vector", network.shapes[output], InputFormat(tuple(network.shapes[output])[:1]))
    channels = given.shape.channels
    layers = (
        *network.layers,
        FullyConnected(
            name="side", inputs=("vector",), output="side.out", output_channels=channels,
            weight=floats(RNG, channels, channels),
        ),
        Add(name="sum", inputs=(output, "side.out"), output="total"),
    )  # fmt: skip
    return replace(network, inputs=(given, *network.inputs), layers=layers, outputs=("total",))


def image_and_vector() -> Network:
    """Return a network of a vector and an image, with an image and the vector's layer as its outputs."""
    whole = image_network(2)
    (image,) = whole.inputs
    vector = NetworkInput("vector", vector_network(3).only_input.shape, InputFormat((6,)))
    form = replace(image.format, subtract=(10.0,), multiply=(0.5,))
    layer = FullyConnected(
        name="side", inputs=("vector",), output="side.out", output_channels=3, weight=floats(RNG, 3, 6)
    )
    return replace(
        whole, inputs=(vector, replace(image, format=form)), layers=(*whole.layers, layer), outputs=("out", "side.out")
    )


def joined_samples(network: Network) -> np.ndarray:
    return RNG.standard_normal((N, *joined_dims(network.inputs))).astype(np.float32)


def test_flags_do_not_make_a_reconstruction_of_several_inputs() -> None:
    network = with_vector_first(vector_network(6), "out")
    samples, flags = joined_samples(network), np.arange(N) % 2
    dataset = Dataset("flags", samples, np.zeros(N, np.int64), samples, flags)
    assert choose_task(network, dataset).kind is TaskKind.CLASSES
    with pytest.raises(DatasetError, match=r"'anomaly' compares .* the network has 2 inputs \(vector, input\)"):
        check_dataset(dataset, network, TaskKind.ANOMALY)
    with pytest.raises(DatasetError, match="the network has 2 inputs"):
        check_dataset(replace(dataset, train_y=None, test_y=None), network, TaskKind.ANOMALY)


def test_bytes_of_target_images_have_the_normalisation_of_the_input_image() -> None:
    network = image_and_vector()
    images = RNG.integers(0, 256, (N, 6, 5, 2), dtype=np.uint8)
    samples = joined_samples(network)
    dataset = Dataset("images", samples, images, samples, images)
    check_dataset(dataset, network)
    task = choose_task(network, dataset)
    assert (task.kind, task.output) == (TaskKind.IMAGES, "out")
    expected = ((images.astype(np.float32) - 10) * 0.5).transpose(0, 3, 1, 2).reshape(N, -1)
    found = targets_of(task, network, dataset.train_x, dataset.train_y)[np.arange(N)]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("has_labels", [True, False])
def test_several_inputs_and_outputs_are_trained(*, has_labels: bool) -> None:
    network = image_and_vector()
    samples = joined_samples(network)
    labels = np.arange(N) % 3 if has_labels else None
    dataset = Dataset("both", samples, labels, samples, labels)
    options = TrainingOptions(epochs=1, batch_size=16, threads=1)
    trained = train(network, allocation_of(network, 8, SCHEME), dataset, options)
    assert trained.integer_network.input_names == ("vector", "input")
    assert trained.integer_network.outputs == ("out", "side.out")
