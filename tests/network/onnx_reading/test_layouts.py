"""Test operators that only change dimensions (reshapes, transposes, computed shapes), in the forms of exporters."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from network.errors import InvalidNetwork, UnsupportedOperator
from network.layers import Shape
from tests.network.onnx_reading.onnx_models import (
    agreeing,
    model,
    node,
    positive,
    random,
    read,
    runtime_outputs,
)

HEAD = {"w": random(4, 3, 3, 3), "v": random(4 * 6 * 6, 5), "axes": np.array([2, 3])}


def flat_forms() -> dict[str, tuple[list[onnx.NodeProto], dict[str, np.ndarray], int]]:
    """Return forms in which exporters flatten the image "c" [N, 4, 6, 6] to the features "f" [N, 144]."""
    ints = {
        name: np.array(value) for name, value in {"i0": 0, "one": [-1], "zero": [0], "start": [0], "end": [1]}.items()
    }
    return {
        "Flatten": ([node("Flatten", "c", "f", axis=1)], {}, 17),
        "Flatten, from the end": ([node("Flatten", "c", "f", axis=-3)], {}, 17),
        "Reshape to 0, -1": ([node("Reshape", "c s", "f")], {"s": np.array([0, -1])}, 17),
        "Reshape to -1, 144": ([node("Reshape", "c s", "f")], {"s": np.array([-1, 144])}, 17),
        "PyTorch's view(x.size(0), -1)": (
            [
                node("Shape", "c", "shape"),
                node("Gather", "shape i0", "n", axis=0),
                node("Unsqueeze", "n", "u", axes=[0]),
                node("Concat", "u one", "s", axis=0),
                node("Reshape", "c s", "f"),
            ],
            ints,
            11,
        ),
        "the same in opset 13": (
            [
                node("Shape", "c", "shape"),
                node("Gather", "shape i0", "n", axis=0),
                node("Unsqueeze", "n zero", "u"),
                node("Concat", "u one", "s", axis=0),
                node("Reshape", "c s", "f"),
            ],
            ints,
            13,
        ),
        "Shape with an end": (
            [
                node("Shape", "c", "u", start=0, end=1),
                node("Concat", "u one", "s", axis=0),
                node("Reshape", "c s", "f"),
            ],
            ints,
            15,
        ),
        "TensorFlow's casts and slices": (
            [
                node("Shape", "c", "shape"),
                node("Cast", "shape", "shape32", to=TensorProto.INT32),
                node("Slice", "shape32 start end zero", "n32"),
                node("Squeeze", "n32 zero", "n0"),
                node("Unsqueeze", "n0 zero", "n"),
                node("Cast", "n", "n64", to=TensorProto.INT64),
                node("Concat", "n64 one", "s", axis=0),
                node("Reshape", "c s", "f"),
            ],
            ints,
            13,
        ),
        "the features' count is multiplied up": (
            [
                node("Shape", "c", "shape", start=1),
                node("Gather", "shape i0", "channels"),
                node("Mul", "channels pixels", "count"),
                node("Unsqueeze", "count zero", "u"),
                node("Concat", "one u", "s", axis=0),
                node("Reshape", "c s", "f"),
            ],
            ints | {"pixels": np.array(36)},
            15,
        ),
        "two reshapes": (
            [node("Reshape", "c a", "r"), node("Reshape", "r b", "f")],
            {"a": np.array([0, 2, 2, 36]), "b": np.array([-1, 144])},
            17,
        ),
        "a new dimension and away with it": (
            [node("Unsqueeze", "c three", "u"), node("Squeeze", "u three", "q"), node("Flatten", "q", "f")],
            {"three": np.array([3])},
            17,
        ),
    }


@pytest.mark.parametrize("form", flat_forms())
@pytest.mark.parametrize("batch", ["N", 1, 3])
def test_flattening(form: str, batch: int | str) -> None:
    nodes, constants, opset = flat_forms()[form]
    built = model(
        [node("Conv", "x w", "c"), *nodes, node("Gemm", "f v", "y")], (batch, 3, 8, 8), HEAD | constants, opset=opset
    )
    assert [layer.kind for layer in agreeing(built).layers] == ["convolution", "fully_connected"]


def test_features_flattened_from_channels_last_are_put_in_order() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("Reshape", "t s", "f"),
        node("MatMul", "f v", "y"),
    ]
    agreeing(model(nodes, constants=HEAD | {"s": np.array([-1, 144])}))


def test_features_flattened_columns_first_are_put_in_order() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Reshape", "c split", "r"),
        node("Transpose", "r", "t", perm=[0, 4, 2, 1, 3]),
        node("Flatten", "t", "f"),
        node("Gemm", "f v", "y"),
    ]
    agreeing(model(nodes, constants=HEAD | {"split": np.array([0, 2, 2, 6, 6])}))


def channels_last_network(opset: int = 13) -> onnx.ModelProto:
    """Return a Keras network as tf2onnx writes it: channels-last input, transposes that cancel, channels-last head."""
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w", "c", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Transpose", "c", "u", perm=[0, 2, 3, 1]),
        node("Add", "u bias", "b"),
        node("Relu", "b", "r"),
        node("Transpose", "r", "back", perm=[0, 3, 1, 2]),
        node("BatchNormalization", "back gamma beta mean variance", "n"),
        node("MaxPool", "n", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", "p", "q", perm=[0, 2, 3, 1]),
        node("Reshape", "q flat", "f"),
        node("MatMul", "f v", "m"),
        node("Add", "m last", "z"),
        node("Softmax", "z", "y"),
    ]
    constants = {
        "w": random(4, 3, 3, 3), "bias": random(4), "gamma": random(4), "beta": random(4), "mean": random(4),
        "variance": positive(4), "flat": np.array([-1, 4 * 2 * 3]), "v": random(24, 5), "last": random(5),
    }  # fmt: skip
    return model(nodes, ("N", 9, 11, 3), constants, opset=opset)


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_channels_last_network(opset: int) -> None:
    network = agreeing(channels_last_network(opset))
    assert network.only_input.shape == Shape(3, 9, 11)
    assert network.only_input.format.dims == (9, 11, 3)
    assert network.only_input.format.channels_last
    assert [layer.kind for layer in network.layers] == ["convolution", "convolution", "max_pool", "fully_connected"]


INPUT_SCALINGS: dict[str, tuple[list[onnx.NodeProto], dict[str, Any]]] = {
    "Div": ([node("Div", "x k", "z")], {"k": np.float32(255)}),
    "Sub, Div": ([node("Sub", "x k", "a"), node("Div", "a k", "z")], {"k": np.float32(128)}),
    "Mul, Sub": (
        [node("Mul", "x k", "a"), node("Sub", "a one", "z")],
        {"k": np.float32(1 / 127), "one": np.float32(1)},
    ),
    "Mul, Add": ([node("Mul", "x k", "a"), node("Add", "one a", "z")], {"k": np.float32(-0.5), "one": np.float32(1)}),
    "one minus": ([node("Sub", "one x", "z")], {"one": np.float32(1)}),
    "per channel": (
        [node("Sub", "x mean", "a"), node("Div", "a std", "z")],
        {"mean": random(3, 1, 1), "std": positive(1, 3, 1, 1)},
    ),
    "batch norm": ([node("BatchNormalization", "x b b b s", "z")], {"b": random(3), "s": positive(3)}),
    "nothing": ([node("Identity", "x", "z")], {}),
}


@pytest.mark.parametrize("form", INPUT_SCALINGS)
def test_scaling_of_the_input_goes_into_its_format(form: str) -> None:
    nodes, constants = INPUT_SCALINGS[form]
    built = model([*nodes, node("Conv", "z w", "y")], constants={"w": random(4, 3, 3, 3), **constants})
    network = agreeing(built)
    assert [layer.name for layer in network.layers] == ["Y"]
    assert network.only_input.name == "x"
    assert network.only_input.format.is_normalised_already == (form == "nothing")


def test_scaling_of_a_channels_last_input_of_bytes() -> None:
    nodes = [
        node("Cast", "x", "f", to=TensorProto.FLOAT),
        node("Sub", "f mean", "a"),
        node("Mul", "a k", "b"),
        node("Transpose", "b", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w", "y"),
    ]
    mean = random(3) + np.float32(128)
    constants = {"mean": mean, "k": np.float32(1 / 64), "w": random(4, 3, 3, 3)}
    network = agreeing(model(nodes, ("N", 8, 9, 3), constants, input_type=TensorProto.UINT8))
    assert [layer.name for layer in network.layers] == ["Y"]
    assert network.only_input.format.channels_last
    assert network.only_input.format.subtract == tuple(mean.astype(np.float64))


@pytest.mark.parametrize("pads", [[0, 1, 2, 0, 0, 3, 0, 0], [0, 0, 0, 1, 0, 0, 0, 0]])
def test_padding_of_a_channels_last_input(pads: list[int]) -> None:
    channels = 3 + pads[3]
    nodes = [
        node("Pad", "x p", "a"),
        node("Transpose", "a", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w", "y"),
    ]
    agreeing(model(nodes, ("N", 8, 9, 3), {"p": np.array(pads), "w": random(4, channels, 3, 3)}))


def test_scaling_stays_a_layer_where_the_input_is_also_read_as_it_is() -> None:
    nodes = [node("Mul", "x k", "a"), node("Add", "a x", "s"), node("Conv", "s w", "y")]
    network = agreeing(model(nodes, constants={"k": positive(3, 1, 1), "w": random(4, 3, 3, 3)}))
    assert [layer.kind for layer in network.layers] == ["convolution", "add", "convolution"]
    assert network.only_input.format.is_normalised_already


def test_vector_input_seen_as_an_image() -> None:
    nodes = [node("Reshape", "x s", "r"), node("Conv", "r w", "y")]
    network = agreeing(model(nodes, ("N", 640), {"s": np.array([-1, 1, 32, 20]), "w": random(4, 1, 3, 3)}))
    assert network.only_input.shape == Shape(1, 32, 20)
    assert network.only_input.format.dims == (640,)


def test_scaled_vector_input_seen_as_an_image() -> None:
    nodes = [node("Div", "x k", "d"), node("Reshape", "d s", "r"), node("Conv", "r w", "y")]
    agreeing(model(nodes, ("N", 48), {"k": np.float32(3), "s": np.array([-1, 3, 4, 4]), "w": random(4, 3, 3, 3)}))


ONE_CHANNEL: dict[str, tuple[tuple[int, ...], list[onnx.NodeProto], Shape]] = {
    # a sample's dimensions, how it becomes the image "r", and that image
    "PyTorch's unsqueeze(1)": ((20, 10), [node("Unsqueeze", "x one", "r")], Shape(1, 20, 10)),
    "of one column": ((20, 1), [node("Unsqueeze", "x one", "r")], Shape(1, 20, 1)),
    "Keras's Reshape to rows, columns, 1": (
        (20, 10),
        [node("Reshape", "x rows", "a"), node("Transpose", "a", "r", perm=[0, 3, 1, 2])],
        Shape(1, 20, 10),
    ),
    "as high as wide": (
        (28, 28),
        [node("Div", "x scale", "d"), node("Reshape", "d square", "r")],
        Shape(1, 28, 28),
    ),
}


@pytest.mark.parametrize("form", ONE_CHANNEL)
def test_input_without_channels_is_an_image_of_one(form: str) -> None:
    dims, nodes, shape = ONE_CHANNEL[form]
    constants = {
        "one": np.array([1]), "rows": np.array([-1, 20, 10, 1]), "square": np.array([0, 1, 28, 28]),
        "scale": np.float32(255), "w": random(4, 1, 3, 1),
    }  # fmt: skip
    network = agreeing(model([*nodes, node("Conv", "r w", "y")], ("N", *dims), constants))
    assert network.only_input.shape == shape
    assert network.only_input.format.dims == dims
    assert not network.only_input.format.channels_last


@pytest.mark.parametrize("dims", [(60,), (20, 3), (4, 15)])
def test_input_reshaped_to_a_channels_last_image(dims: tuple[int, ...]) -> None:
    nodes = [
        node("Reshape", "x s", "r"),
        node("Sub", "r mean", "a"),
        node("Transpose", "a", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w", "y"),
    ]
    constants = {"s": np.array([-1, 4, 5, 3]), "mean": np.float32(0.5), "w": random(4, 3, 3, 3)}
    network = agreeing(model(nodes, ("N", *dims), constants))
    assert network.only_input.shape == Shape(3, 4, 5)
    assert network.only_input.format.dims == dims
    assert network.only_input.format.channels_last


def test_one_pixel_of_channels_last() -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w", "y")]
    network = agreeing(model(nodes, ("N", 1, 1, 5), {"w": random(4, 5, 1, 1)}))
    assert network.only_input.shape == Shape(5, 1, 1)
    assert network.only_input.format.channels_last


def test_sequence_input_of_channels_last() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 1]),
        node("Conv", "t w", "c"),
        node("GlobalAveragePool", "c", "g"),
        node("Squeeze", "g two", "s"),
        node("Gemm", "s v", "y"),
    ]
    network = agreeing(model(nodes, ("N", 20, 3), {"w": random(4, 3, 5), "two": np.array([2]), "v": random(4, 2)}))
    assert network.only_input.shape == Shape(3, 1, 20)


def test_keras_conv1d_through_an_image_of_height_1() -> None:
    nodes = [
        node("Unsqueeze", "x one", "u"),
        node("Transpose", "u", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w", "c"),
        node("Squeeze", "c two", "s"),
        node("Relu", "s", "r"),
        node("ReduceMean", "r", "y", axes=[2], keepdims=0),
    ]
    constants = {"one": np.array([1]), "two": np.array([2]), "w": random(4, 3, 1, 5)}
    agreeing(model(nodes, ("N", 20, 3), constants))


def test_one_channel_channels_last() -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w", "y")]
    network = agreeing(model(nodes, ("N", 28, 27, 1), {"w": random(4, 1, 3, 3)}))
    assert network.only_input.shape == Shape(1, 28, 27)
    assert network.only_input.format.channels_last


def test_mean_over_a_channels_last_image() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("ReduceMean", "t", "y", axes=[1, 2], keepdims=0),
    ]
    agreeing(model(nodes, constants={"w": random(4, 3, 3, 3)}))


def test_mean_over_flattened_pixels() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Reshape", "c s", "r"),
        node("ReduceMean", "r", "y", axes=[-1], keepdims=0),
    ]
    agreeing(model(nodes, constants={"w": random(4, 3, 3, 3), "s": np.array([0, 4, -1])}))


def test_batch_of_1_squeezed_away_and_back() -> None:
    """tf2onnx writes a residual branch over an image of one pixel in this form."""
    nodes = [
        node("Conv", "x w", "c"),
        node("Squeeze", "c", "s"),
        node("Reshape", "s image", "r"),
        node("Add", "c r", "a"),
        node("Squeeze", "a", "y"),
    ]
    constants = {"w": random(4, 3, 8, 8), "image": np.array([1, 0, 1, 1])}
    # Without its batch, the squeezed value's first dimension is the channels: 0 in the second place names nothing.
    with pytest.raises(InvalidNetwork, match="'R'"):
        read(model(nodes, (1, 3, 8, 8), constants))
    network = agreeing(model(nodes, (1, 3, 8, 8), constants | {"image": np.array([1, 4, 1, 1])}))
    assert [layer.kind for layer in network.layers] == ["convolution", "add"]
    assert network.outputs == ("a",)


def test_concat_and_add_of_channels_last_images() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("Relu", "t", "r"),
        node("Add", "t r", "s"),
        node("Concat", "s t r", "j", axis=3),
        node("Mul", "j k", "m"),
        node("Transpose", "m", "u", perm=[0, 3, 1, 2]),
        node("Conv", "u v", "y"),
    ]
    constants = {"w": random(4, 3, 3, 3), "k": positive(12), "v": random(2, 12, 1, 1)}
    agreeing(model(nodes, constants=constants))


def test_outputs_that_are_views_name_the_tensor() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Transpose", "c", "y", perm=[0, 2, 3, 1]),
        node("GlobalAveragePool", "c", "g"),
        node("Flatten", "g", "z"),
    ]
    network = agreeing(model(nodes, constants={"w": random(4, 3, 3, 3)}, outputs="y z"), order=(0, 2, 3, 1))
    assert network.outputs == ("c", "g")


def test_weights_computed_from_constants() -> None:
    nodes = [
        node("Transpose", "kernel", "w", perm=[3, 2, 0, 1]),
        node("Identity", "w", "same"),
        node("Conv", "x same", "c"),
        node("Add", "variance epsilon", "a"),
        node("Sqrt", "a", "b"),
        node("Reciprocal", "b", "scale"),
        node("Reshape", "scale column", "s"),
        node("Mul", "c s", "d"),
        node("Neg", "mean", "negative"),
        node("Mul", "negative scale", "shift"),
        node("Unsqueeze", "shift axes12", "t"),
        node("Add", "d t", "y"),
    ]
    constants = {
        "kernel": random(3, 3, 3, 4), "variance": positive(4), "epsilon": np.float32(1e-3), "mean": random(4),
        "column": np.array([-1, 1, 1]), "axes12": np.array([1, 2]),
    }  # fmt: skip
    assert len(agreeing(model(nodes, constants=constants)).layers) == 1


WEIGHT_NORMS: dict[str, tuple[list[onnx.NodeProto], int]] = {
    "PyTorch's weight norm": (
        [
            node("ReduceL2", "kernel axes", "norm", keepdims=1),
            node("Div", "kernel norm", "direction"),
            node("Mul", "direction length", "w"),
        ],
        18,
    ),
    "the same in opset 11": (
        [
            node("ReduceL2", "kernel", "norm", axes=[1, 2, 3]),
            node("Div", "kernel norm", "direction"),
            node("Mul", "direction length", "w"),
        ],
        11,
    ),
    "weight standardization": (
        [
            node("ReduceMean", "kernel axes", "mean"),
            node("Sub", "kernel mean", "centred"),
            node("Mul", "centred centred", "squares"),
            node("ReduceMean", "squares axes", "variance"),
            node("Sqrt", "variance", "deviation"),
            node("Div", "centred deviation", "w"),
        ],
        18,
    ),
    "divided by a filter's size": (
        [
            node("Shape", "kernel", "shape"),
            node("Gather", "shape axes", "extents"),
            node("ReduceProd", "extents", "size", keepdims=0),
            node("Cast", "size", "n", to=TensorProto.FLOAT),
            node("Div", "kernel n", "w"),
        ],
        17,
    ),
    "over everything": ([node("ReduceL2", "kernel", "norm", keepdims=0), node("Div", "kernel norm", "w")], 17),
    "over nothing": ([node("ReduceMean", "kernel", "w", noop_with_empty_axes=1)], 18),
}


@pytest.mark.parametrize("form", WEIGHT_NORMS)
def test_weights_normalized_by_constants(form: str) -> None:
    nodes, opset = WEIGHT_NORMS[form]
    constants = {"kernel": random(4, 3, 3, 3), "axes": np.array([1, 2, 3]), "length": positive(4, 1, 1, 1)}
    network = agreeing(model([*nodes, node("Conv", "x w", "y")], constants=constants, opset=opset))
    assert [layer.name for layer in network.layers] == ["Y"]


def test_nodes_in_any_order() -> None:
    nodes = [node("Relu", "c", "y"), node("Conv", "x w", "c")]
    built = model(nodes, constants={"w": random(4, 3, 3, 3)})
    ordered = model(nodes[::-1], constants={"w": random(4, 3, 3, 3)})
    assert [layer.name for layer in read(built).layers] == [layer.name for layer in agreeing(ordered).layers]


SWAPPED_INPUTS: dict[str, tuple[tuple[int, ...], list[int]]] = {
    # dimensions of the input, and the transpose to channels, columns, rows
    "one channel": ((1, 11, 8), [0, 1, 3, 2]),
    "channels first": ((3, 11, 8), [0, 1, 3, 2]),
    "channels last": ((11, 8, 3), [0, 3, 2, 1]),
    "one channel, channels last": ((11, 8, 1), [0, 3, 2, 1]),
    "as many rows as columns, channels last": ((8, 8, 3), [0, 3, 2, 1]),
    "as many columns as channels, channels last": ((11, 3, 3), [0, 3, 2, 1]),
}


@pytest.mark.parametrize("form", SWAPPED_INPUTS)
def test_rows_and_columns_of_the_input_are_swapped(form: str) -> None:
    dims, order = SWAPPED_INPUTS[form]
    channels = dims[order[1] - 1]
    nodes = [
        node("Transpose", "x", "t", perm=order),
        node("Sub", "t means", "z"),
        node("Pad", "z pads", "p"),
        node("Conv", "p w", "c", pads=[1, 0, 0, 2], strides=[2, 1], dilations=[1, 2]),
        node("Relu", "c", "r"),
        node("MaxPool", "r", "q", kernel_shape=[2, 3], strides=[1, 2], pads=[0, 1, 1, 0]),
        node("Conv", "q v", "d"),
        node("Add", "d q2", "s"),
        node("AveragePool", "s", "a", kernel_shape=[1, 2]),
        node("Flatten", "a", "f"),
        node("Gemm", "f m", "y"),
    ]
    nodes[7:7] = [node("Conv", "q v", "q2")]
    constants = {
        "means": random(1, channels, 1, 1), "pads": np.array([0, 0, 1, 0, 0, 0, 2, 1]), "w": random(4, channels, 3, 2),
        "v": random(5, 4, 1, 1),
    }  # fmt: skip
    flat = runtime_outputs(model(nodes[:-1], ("N", *dims), constants, outputs="f"),
                           random(1, *dims))[0].shape[1]  # fmt: skip
    network = agreeing(model(nodes, ("N", *dims), constants | {"m": random(flat, 6)}))
    assert network.only_input.format.dims == dims
    assert network.only_input.format.channels_last == form.endswith("channels last")
    assert network.only_input.shape == Shape(channels, *(dims[1:] if order[1] == 1 else dims[:2]))


def test_an_image_out_of_a_swapped_input_is_refused() -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 1, 3, 2]), node("Conv", "t w", "y")]
    with pytest.raises(UnsupportedOperator, match="transposes rows and columns of its input"):
        read(model(nodes, ("N", 1, 11, 8), {"w": random(4, 1, 3, 2)}))
