"""Features of different units in one of several inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from network.network import Network
from qat.data.dataset import Dataset, to_input_tensor
from qat.data.feature_scales import with_feature_scales
from qat.data.images import fitted
from qat.data.input_arrays import InputArrays
from qat.float_network import FloatNetwork
from qat.options.training import TrainingOptions
from qat.train import train
from tests.builders import network_of
from tests.qat.data.test_feature_scales import SHAPE, convolution, fully_connected, samples
from tests.qat.test_input_range import SCHEME
from tests.qat.test_several_inputs import arrays, image_and_vector
from tests.qat.zoo import allocation_of


def outputs_of(network: Network, values: Any) -> Any:
    with torch.no_grad():
        return FloatNetwork(network).eval()(torch.from_numpy(to_input_tensor(values, network))).numpy()


def test_only_the_input_with_different_units_is_normalised() -> None:
    layers = [fully_connected(), convolution(inputs=("other",))]
    network = network_of(layers, SHAPE, outputs=("y", "z"), other_inputs={"other": SHAPE})
    alike = np.random.default_rng(3).normal(size=(300, SHAPE.elements))
    joined = np.concatenate([samples().reshape(300, -1), alike], axis=1).astype(np.float32)
    scaled = with_feature_scales(network, joined)
    first, second = scaled.inputs
    assert len(first.format.subtract) == len(first.format.multiply) == SHAPE.channels
    assert second is network.inputs[1]
    assert scaled.layers[1] is network.layers[1]
    expected = outputs_of(network, joined)
    np.testing.assert_allclose(outputs_of(scaled, joined), expected, atol=2e-6 * np.abs(expected).max())
    assert with_feature_scales(scaled, joined) is scaled


def test_bytes_stay_their_own_codes_although_a_channel_is_dark() -> None:
    network = network_of(
        [fully_connected(), convolution(inputs=("other",))], SHAPE, outputs=("y", "z"), other_inputs={"other": SHAPE}
    )
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (300, 2, 3, 4)).astype(np.uint8)
    images[..., 0] = rng.integers(200, 203, (300, 2, 3))
    vectors = rng.normal(size=(300, *SHAPE)).astype(np.float32)
    given = InputArrays({"input": images, "other": vectors})
    whole = fitted(Dataset("dark", given, None, given, None), network)
    assert with_feature_scales(network, whole.train_x) is network
    assert with_feature_scales(network, whole.train_x[:]) is not network, "the joined numbers alone do not tell"


def test_warnings_name_their_input() -> None:
    network = image_and_vector()
    first = arrays(64, 0)
    given = InputArrays({"image": first["image"], "vector": first["vector"]})
    other = InputArrays({"image": first["image"][::-1], "vector": first["vector"] * 50})
    dataset = Dataset("two", given, None, other, None)
    options = TrainingOptions(epochs=0, threads=1)
    found = train(network, allocation_of(network, 8, SCHEME), dataset, options).warnings
    (outside,) = (warning for warning in found if "far outside" in warning)
    assert outside.startswith("input 'vector': ")
