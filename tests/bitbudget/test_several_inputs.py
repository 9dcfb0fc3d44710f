"""The public functions on a network with several inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitbudget
from tests.qat.test_several_inputs import arrays, dataset, image_and_vector


def test_samples_of_each_input_become_codes(tmp_path: Path) -> None:
    network = image_and_vector()
    training = {"epochs": 1, "batch_size": 32, "threads": 1}
    trained = bitbudget.train(
        network, dataset(), out=tmp_path / "out", flash="10kB", ram="4kB", training=training, sensitivity="weights"
    )
    integers = bitbudget.load(tmp_path / "out")
    test = arrays(24, 1)
    samples = {name: test[name] for name in ("vector", "image")}
    codes = bitbudget.codes_of_inputs(integers, samples)
    assert list(codes) == ["image", "vector"]
    assert codes["image"].shape == (24, 6, 6, 2)
    outputs = bitbudget.run(integers, codes)["y.out"]
    predicted = outputs.reshape(24, -1).argmax(axis=1)
    assert trained.accuracy is not None
    assert trained.accuracy.integer_only == pytest.approx(100 * (predicted == test["labels"]).mean())
    in_order = [codes["image"], codes["vector"]]
    np.testing.assert_array_equal(bitbudget.run(integers, in_order)["y.out"], outputs)
    values = bitbudget.input_values(network, samples)
    assert values.shape == (24, 76)
    np.testing.assert_array_equal(bitbudget.input_values(network, [test["image"], test["vector"]]), values)
    joined = np.concatenate([test["image"].reshape(24, -1), test["vector"]], axis=1).astype(np.float32)
    np.testing.assert_array_equal(bitbudget.input_values(network, joined), values)
    with pytest.raises(bitbudget.ConversionError, match="2 inputs; expected a network with one input"):
        bitbudget.input_codes(integers, joined)
    with pytest.raises(bitbudget.DatasetError, match=r"expected \[n, 76\]"):
        bitbudget.input_values(network, joined[:, :75])
    with pytest.raises(bitbudget.DatasetError, match="one for each input of the network: input_image, input_vector"):
        bitbudget.input_values(network, {"image": test["image"]})
