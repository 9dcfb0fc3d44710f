"""Test the joined samples of networks with several inputs."""

from __future__ import annotations

import numpy as np
import pytest

from network.errors import InvalidNetwork
from network.joined_samples import input_tensors, joined, joined_dims, joined_input, samples_of_inputs
from network.layers import Activation, Shape
from network.network import Network
from network.network_input import InputFormat, NetworkInput

IMAGE = NetworkInput("image", Shape(2, 3, 4), InputFormat((3, 4, 2), True, (1.0, 2.0), (0.5, 3.0)))
VECTOR = NetworkInput("vector", Shape(5), InputFormat((5,), multiply=(2.0,)))
INPUTS = (IMAGE, VECTOR)


def test_each_input_is_converted_by_its_own_format() -> None:
    random = np.random.default_rng(0)
    image, vector = random.normal(size=(7, 3, 4, 2)), random.normal(size=(7, 5))
    samples = joined([image, vector]).astype(np.float32)
    assert joined_dims(INPUTS) == (29,)
    assert samples.shape == (7, 29)
    parts = samples_of_inputs(samples, INPUTS)
    np.testing.assert_array_equal(parts["image"], image.astype(np.float32))
    np.testing.assert_array_equal(parts["vector"], vector.astype(np.float32))
    tensors = input_tensors(joined_input(samples, INPUTS), INPUTS)
    expected = (image.transpose(0, 3, 1, 2) - [[[1.0]], [[2.0]]]) * [[[0.5]], [[3.0]]]
    np.testing.assert_allclose(tensors["image"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tensors["vector"][:, :, 0, 0], vector * 2, rtol=1e-6)


def test_samples_of_one_input_keep_their_shape() -> None:
    samples = np.ones((2, 3, 4, 2), np.float32)
    assert joined_dims((IMAGE,)) == (3, 4, 2)
    assert samples_of_inputs(samples, (IMAGE,))["image"] is samples
    values = joined_input(samples, (IMAGE,))
    assert values.tolist() == ((samples.transpose(0, 3, 1, 2) - [[[1]], [[2]]]) * [[[0.5]], [[3]]]).tolist()
    assert input_tensors(values, (IMAGE,))["image"] is values


def test_no_samples() -> None:
    tensor = input_tensors(np.zeros((0, 29), np.float32), INPUTS)["image"]
    assert list(tensor.shape) == [0, 2, 3, 4]


LAYERS = (Activation(name="a", inputs=("vector",), output="a"),)


def test_the_only_input() -> None:
    assert Network("n", (VECTOR,), LAYERS, ("a",)).only_input is VECTOR
    with pytest.raises(InvalidNetwork, match="2 inputs; expected a network with one"):
        Network("n", INPUTS, LAYERS, ("a", "image")).only_input  # noqa: B018  # the property raises


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ((), "0 inputs; expected 1 to 100"),
        ((VECTOR, VECTOR), "two inputs of the network are named 'vector'"),
        ((NetworkInput("vector", Shape(0), InputFormat((0,))),), "'vector' has the shape 0x1x1"),
        ((VECTOR, NetworkInput("a", Shape(1), InputFormat((1,)))), "writes tensor 'a', which an input"),
    ],
)
def test_inconsistent_inputs(inputs: tuple[NetworkInput, ...], text: str) -> None:
    with pytest.raises(InvalidNetwork, match=text):
        Network("n", inputs, LAYERS, ("a",))
