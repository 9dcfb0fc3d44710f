"""Networks with several inputs from the dataset to the integer-only network, its ONNX form and its interpreter."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deploy.files import load, save
from deploy.interpreter import quantize_inputs, real_values, run, trace
from deploy.qdq import onnx_bytes
from network.errors import DatasetError, RequestError
from network.joined_samples import input_tensors, joined, joined_dims
from network.layers import RELU, Add, Axis, Concat, Flattening, FullyConnected, Layer, MaxPool, Shape
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from network.reading import read_network
from qat.calibration import calibrate
from qat.conversion import convert
from qat.data.batches import tensor_of
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset
from qat.data.images import fitted
from qat.data.input_arrays import InputArrays
from qat.data.opening import open_dataset
from qat.float_network import FloatNetwork
from qat.options.augmentation import PRESETS
from qat.options.names import RangeSetting, TensorOverride
from qat.options.overrides import overridden
from qat.options.post_training import PostTrainingOptions
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.options.training import TrainingOptions
from qat.prepare import prepare
from qat.sensitivity.measuring import measure_sensitivity
from qat.train import train
from tests.deploy.onnx_runs import RUNTIMES, codes_in, differences
from tests.qat.naive import naive_tensors
from tests.qat.small_problem import accuracy_of
from tests.qat.zoo import SCHEMES, allocation_of, convolution, floats, random_allocation

MINIMAL = Path(__file__).parents[2].parent / "shared" / "networks" / "minimal"
CLASSES = 3


def image_and_vector(seed: int = 0) -> Network:
    """Return a network over an image with its channels last, which a pool copies, and a vector with other units."""
    rng = np.random.default_rng(seed)
    image = NetworkInput("image", Shape(2, 6, 6), InputFormat((6, 6, 2), True, (127.5,), (1 / 64,)))
    vector = NetworkInput("vector", Shape(4), InputFormat((4,), multiply=(0.01,)))
    layers: list[Layer] = [
        convolution(rng, "c", "image", (2, 6), activation=RELU),
        MaxPool(name="p", inputs=("c.out",), output="p.out", kernel=(2, 2), stride=(2, 2)),
        Concat(name="join", inputs=("p.out", "vector"), output="joined", flattening=Flattening.CHANNELS_LAST),
    ]
    elements = 6 * 2 * 2 + 4
    layers += [
        FullyConnected(
            name="h", inputs=("joined",), output="h.out", activation=RELU, output_channels=8,
            weight=floats(rng, 8, elements, scale=0.3),
        ),
        FullyConnected(
            name="y", inputs=("h.out",), output="y.out", output_channels=CLASSES, weight=floats(rng, CLASSES, 8),
        ),
    ]  # fmt: skip
    return Network("two", (image, vector), tuple(layers), ("y.out",))


def arrays(count: int, seed: int) -> dict[str, Any]:
    """Return images of bytes, vectors of large numbers, and labels that need both inputs."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 6, 6, 2)).astype(np.uint8)
    vectors = rng.normal(size=(count, 4)).astype(np.float32) * 100
    bright = images.reshape(count, -1).mean(axis=1) > 127.5
    return {"image": images, "vector": vectors, "labels": bright.astype(np.int64) + (vectors[:, 0] > 0)}


def dataset() -> Dataset:
    train_arrays, test_arrays = arrays(96, 0), arrays(24, 1)
    return Dataset(
        "two",
        InputArrays({name: train_arrays[name] for name in ("image", "vector")}),
        train_arrays["labels"],
        InputArrays({name: test_arrays[name] for name in ("image", "vector")}),
        test_arrays["labels"],
    )


def test_the_float_network_computes_the_naive_values() -> None:
    network = image_and_vector()
    samples = fitted(dataset(), network).train_x[:5]
    values = tensor_of(samples, network)
    with torch.no_grad():
        ours = FloatNetwork(network).eval().tensors(values)
    expected = naive_tensors(network, values.numpy())
    assert list(ours) == list(network.tensors)
    for name, tensor in ours.items():
        np.testing.assert_allclose(tensor.numpy(), expected[name], rtol=1e-4, atol=1e-4, err_msg=name)
    image, vector = arrays(96, 0)["image"][:5], arrays(96, 0)["vector"][:5]
    np.testing.assert_allclose(ours["image"].numpy(), (image.transpose(0, 3, 1, 2) - 127.5) / 64, rtol=1e-6)
    np.testing.assert_allclose(ours["vector"].numpy()[:, :, 0, 0], vector * 0.01, rtol=1e-6)


@pytest.mark.parametrize("scheme", SCHEMES[::2], ids=str)
@pytest.mark.parametrize("setting", RangeSetting)
def test_the_interpreter_the_simulation_and_onnx_agree(scheme: Any, setting: RangeSetting) -> None:
    network = image_and_vector()
    samples = fitted(dataset(), network).train_x[:32]
    for allocation in (allocation_of(network, 8, scheme), random_allocation(network, 3)):
        module = prepare(network, allocation, options=TrainingOptions(range_setting=setting, range_percentile=99.0))
        calibrate(module, samples)
        integers = convert(module.eval())
        values = tensor_of(samples, network)
        codes = trace(integers, quantize_inputs(integers, values.numpy()))
        for name, simulated in module.deployed().codes(values).items():
            np.testing.assert_array_equal(codes[name], simulated.permute(0, 2, 3, 1).numpy(), err_msg=name)
        inputs = {name: codes[name] for name in network.input_names}
        for difference in differences(integers, codes_in(RUNTIMES[1], integers, inputs)).values():
            assert difference.max() <= 1
            assert np.count_nonzero(difference) <= 1 + 0.001 * difference.size


def test_the_onnx_file_is_read_again() -> None:
    network = image_and_vector()
    samples = fitted(dataset(), network).train_x[:32]
    module = prepare(network, allocation_of(network, 8, SCHEMES[0]), options=TrainingOptions())
    calibrate(module, samples)
    integers = convert(module.eval())
    values = tensor_of(samples, network)
    codes = run(integers, quantize_inputs(integers, values.numpy()))["y.out"]
    again = read_network(onnx_bytes(integers), "again")
    assert again.input_names == network.input_names
    with torch.no_grad():
        found = FloatNetwork(again).eval()(values).numpy()
    expected = real_values(integers, "y.out", codes).reshape(len(codes), -1)
    assert np.abs(found - expected).max() < 4 * integers.tensors["y.out"].scale


def test_each_input_has_its_own_range() -> None:
    network = image_and_vector()
    samples = fitted(dataset(), network).train_x[:]
    options = TrainingOptions(
        range_setting=RangeSetting.MIN_MAX,
        overrides={"vector": TensorOverride(range_setting=RangeSetting.PERCENTILE, range_percentile=60.0)},
    )
    module = prepare(network, allocation_of(network, 8, SCHEMES[0]), options=options)
    calibrate(module, samples)
    whole, cut = module.grid("image"), module.grid("vector")
    assert 255 * whole.scale == pytest.approx(255 / 64, rel=0.01)
    assert 255 * cut.scale < 0.01 * float(np.ptp(arrays(96, 0)["vector"])) * 0.6
    with pytest.raises(RequestError, match="'vector' is an input of the network, which no layer writes"):
        overridden(
            network, allocation_of(network, 8, SCHEMES[0]),
            {"vector": TensorOverride.model_validate({"activation_range": "clipped"})},
        )  # fmt: skip


@pytest.mark.parametrize("post_training", [None, PostTrainingOptions(rounding_steps=5)])
def test_a_training_ends_in_files_that_compute_the_same(
    tmp_path: Path, post_training: PostTrainingOptions | None
) -> None:
    network, data = image_and_vector(), dataset()
    options = TrainingOptions(
        epochs=0 if post_training else 1, batch_size=16, threads=1, seed=1, post_training=post_training
    )
    result = train(network, allocation_of(network, 4, SCHEMES[0]), data, options)
    assert math.isfinite(accuracy_of(result).integer_only_percent)
    save(result.integer_network, tmp_path)
    loaded = load(tmp_path)
    samples = fitted(data, network).test_x[:]
    codes = quantize_inputs(loaded, tensor_of(samples, network).numpy())
    expected = run(result.integer_network, codes)["y.out"]
    np.testing.assert_array_equal(run(loaded, codes)["y.out"], expected)
    predicted = expected.reshape(len(samples), -1).argmax(axis=1)
    assert data.test_y is not None
    assert accuracy_of(result).integer_only_percent == pytest.approx(100 * (predicted == data.test_y).mean())
    found = codes_in(RUNTIMES[0], loaded, codes)["y.out"]
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_images_among_several_inputs_are_not_shifted() -> None:
    network = image_and_vector()
    options = TrainingOptions(epochs=1, batch_size=16, threads=1, augmentation=PRESETS["flip_shift"])
    with pytest.raises(RequestError, match="network has 2 inputs; expected one: choose the augmentation 'none'"):
        train(network, allocation_of(network, 8, SCHEMES[0]), dataset(), options)


@pytest.mark.parametrize("measure", Measure)
def test_the_sensitivity_of_each_input_is_measured(measure: Measure) -> None:
    network = image_and_vector()
    data = fitted(dataset(), network)
    assert data.train_y is not None
    table = measure_sensitivity(network, data.train_x, data.train_y, SensitivityOptions(measure=measure, samples=32))
    assert {"image", "vector"} <= set(table.activations)
    for name in network.input_names:
        assert table.activations[name][2] > table.activations[name][8]


@pytest.mark.skipif(not MINIMAL.is_dir(), reason="../shared/networks is missing")
@pytest.mark.parametrize("name", ["two_real_inputs", "state_in_and_out"])
def test_published_networks(name: str) -> None:
    network = read_network((MINIMAL / f"{name}.onnx").read_bytes(), name)
    samples = np.random.default_rng(0).normal(size=(48, *joined_dims(network.inputs))).astype(np.float32)
    allocation = allocation_of(network, 8, SCHEMES[0])
    options = TrainingOptions(epochs=1, batch_size=16, threads=1)
    integers = train(network, allocation, Dataset(name, samples, None, samples[:16], None), options).integer_network
    assert integers.outputs == network.outputs
    values = tensor_of(samples[:16], network)
    codes = quantize_inputs(integers, values.numpy())
    found = codes_in(RUNTIMES[0], integers, codes)
    for output, expected in run(integers, codes).items():
        assert np.abs(found[output].astype(int) - expected).max() <= 1
        tensor = integers.tensors[output]
        with torch.no_grad():
            real = FloatNetwork(network).eval().tensors(values)[output].permute(0, 2, 3, 1).numpy()
        noise = (expected.astype(np.float64) - tensor.zero_point) * tensor.scale - real
        assert np.square(real).sum() > 100 * np.square(noise).sum()


def test_a_state_is_fed_back_by_the_program() -> None:
    """The output and the input of a state may have different scales: the program converts the codes."""
    rng = np.random.default_rng(0)
    inputs = (NetworkInput("x", Shape(3), InputFormat((3,))), NetworkInput("s", Shape(4), InputFormat((4,))))
    layers = (
        FullyConnected(name="a", inputs=("x",), output="a", output_channels=4, weight=floats(rng, 4, 3)),
        Add(name="next", inputs=("a", "s"), output="next", activation=RELU),
        FullyConnected(name="y", inputs=("next",), output="y", output_channels=2, weight=floats(rng, 2, 4)),
    )
    network = Network("state", inputs, layers, ("y", "next"))
    samples = rng.normal(size=(64, 7)).astype(np.float32)
    module = prepare(network, allocation_of(network, 8, SCHEMES[0]), options=TrainingOptions())
    calibrate(module, samples)
    integers = convert(module.eval())
    given, state = integers.tensors["s"], integers.tensors["next"]
    assert given.scale != state.scale
    codes = quantize_inputs(integers, tensor_of(samples[:1], network).numpy())
    after = run(integers, codes)["next"].astype(np.float64)
    fed_back = np.floor((after - state.zero_point) * state.scale / given.scale + 0.5) + given.zero_point
    again = run(integers, codes | {"s": np.clip(fed_back, 0, 255).astype(np.uint8)})
    assert again["next"].shape == (1, 1, 1, 4)


@pytest.mark.parametrize("axis", [Axis.HEIGHT, Axis.WIDTH])
def test_a_buffer_and_a_frame(axis: Axis) -> None:
    rng = np.random.default_rng(0)
    shapes = {"s": Shape(2, 5, 6), "x": Shape(2, 2, 6) if axis is Axis.HEIGHT else Shape(2, 5, 3)}
    inputs = tuple(NetworkInput(name, shape, InputFormat(tuple(shape))) for name, shape in shapes.items())
    layers = (
        Concat(name="k", inputs=("s", "x"), output="k", axis=axis),
        convolution(rng, "y", "k", (2, 3), activation=RELU),
    )
    network = Network("streaming", inputs, layers, ("y.out", "k"))
    samples = rng.normal(size=(24, *joined_dims(inputs))).astype(np.float32)
    values = tensor_of(samples, network)
    with torch.no_grad():
        ours = FloatNetwork(network).eval().tensors(values)
    for name, expected in naive_tensors(network, values.numpy()).items():
        np.testing.assert_allclose(ours[name].numpy(), expected, rtol=1e-4, atol=1e-4)
    module = prepare(network, allocation_of(network, 8, SCHEMES[0]), options=TrainingOptions())
    calibrate(module, samples)
    integers = convert(module.eval())
    codes = trace(integers, quantize_inputs(integers, values.numpy()))
    for name, simulated in module.deployed().codes(values).items():
        np.testing.assert_array_equal(codes[name], simulated.permute(0, 2, 3, 1).numpy(), err_msg=name)
    found = codes_in(RUNTIMES[1], integers, {name: codes[name] for name in network.input_names})
    assert max(int(difference.max()) for difference in differences(integers, found).values()) <= 1


NPZ_FORMS = {
    "by name": lambda part: {"image": part["image"], "vector": part["vector"]},
    "by order": lambda part: {"0": part["image"], "1": part["vector"]},
}


@pytest.mark.parametrize("form", [*NPZ_FORMS, "joined"])
def test_arrays_of_an_npz_are_joined_in_the_order_of_the_inputs(tmp_path: Path, form: str) -> None:
    given: dict[str, Any] = {}
    for part, values in (("train", arrays(8, 0)), ("test", arrays(4, 1))):
        given[f"{part}_y"] = values["labels"]
        if form == "joined":
            given[f"{part}_x"] = joined([values["image"].astype(np.float32), values["vector"]])
        else:
            given |= {f"{part}_x_{key}": array for key, array in reversed(NPZ_FORMS[form](values).items())}
    np.savez(tmp_path / "two.npz", **given)
    network, data = image_and_vector(), open_dataset(tmp_path / "two.npz")
    assert data.train_x.shape == (8, 76)
    check_dataset(data, network)
    samples = fitted(data, network).train_x[:]
    tensors = input_tensors(tensor_of(samples, network), network.inputs)
    np.testing.assert_allclose(
        tensors["image"].numpy(), (arrays(8, 0)["image"].transpose(0, 3, 1, 2) - 127.5) / 64, rtol=1e-6
    )
    np.testing.assert_allclose(tensors["vector"].numpy()[:, :, 0, 0], arrays(8, 0)["vector"] * 0.01, rtol=1e-6)


def test_bytes_of_an_image_become_channels_first_where_the_network_has_them_so() -> None:
    network = image_and_vector()
    image = NetworkInput("image", Shape(2, 6, 6), InputFormat((2, 6, 6)))
    network = Network("first", (image, network.inputs[1]), network.layers, network.outputs)
    samples = fitted(dataset(), network).train_x[:3]
    expected = arrays(96, 0)["image"][:3].transpose(0, 3, 1, 2).reshape(3, -1)
    np.testing.assert_array_equal(samples[:, :72], expected)


IMAGES, VECTORS = arrays(8, 0)["image"], arrays(8, 0)["vector"]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (IMAGES, "this network needs .n, 76. .the inputs image, vector, flattened and joined"),
        (VECTORS, "this network needs .n, 76."),
        (InputArrays({"image": IMAGES}), "arrays train_x_image; expected .* train_x_image, train_x_vector, or train_x"),
        (InputArrays({"0": IMAGES, "2": VECTORS}), "arrays train_x_0, train_x_2; expected one for each input"),
        (InputArrays({"0": VECTORS, "1": IMAGES}), "train_x_0 is float32 with shape .8, 4.; the input 'image'"),
        (
            InputArrays({"image": IMAGES, "vector": np.where(VECTORS > 90, np.nan, VECTORS)}),
            r"train_x_vector\[\d\] holds NaN",
        ),
    ],
)  # fmt: skip
def test_samples_that_do_not_fit_are_refused(samples: Any, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        check_dataset(Dataset("wrong", samples, None, samples, None), image_and_vector())


def test_arrays_of_different_lengths_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", train_x_0=VECTORS, train_x_1=VECTORS[:5])
    with pytest.raises(DatasetError, match="8 of '0', 5 of '1' samples; expected the same number"):
        open_dataset(tmp_path / "two.npz")
    np.savez(tmp_path / "many.npz", **{f"train_x_{key}": VECTORS for key in range(101)})
    with pytest.raises(DatasetError, match="at most 100 inputs"):
        open_dataset(tmp_path / "many.npz")
    np.savez(tmp_path / "test.npz", test_x_0=VECTORS)
    with pytest.raises(DatasetError, match="lacks train_x"):
        open_dataset(tmp_path / "test.npz")
