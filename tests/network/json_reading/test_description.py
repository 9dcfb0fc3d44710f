"""The JSON description: what a person may write, what is refused, and exact round trips."""

from __future__ import annotations

import base64
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.errors import InvalidNetwork, NetworkError, UnreadableFile
from network.host_graph import HostGraph, HostRead
from network.host_steps import HostSteps
from network.json_reading.description import read_json, write_json
from network.layers import (
    LINEAR,
    RELU,
    RELU6,
    Activation,
    ActivationFunction,
    Add,
    AveragePool,
    BatchNorm,
    Concat,
    Convolution,
    Flattening,
    Float32Array,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    Padding,
    Shape,
)
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from network.reading import read_network
from tests.network.onnx_reading.test_damaged_files import soon_and_small

CONVOLUTION: dict[str, Any] = {"name": "conv", "kind": "convolution", "output_channels": 4, "kernel": 3}
NORM: dict[str, Any] = {"gamma": [1, 2], "beta": [0, 0], "mean": [0, 0], "variance": [1, 1], "epsilon": 0.1}


def description(*layers: Any, shape: Any = (3, 8, 8), **more: Any) -> dict[str, Any]:
    return {"input": {"shape": list(shape) if isinstance(shape, tuple) else shape}, "layers": list(layers), **more}


def read(value: Any) -> Network:
    return read_network((value if isinstance(value, str) else json.dumps(value)).encode(), "given")


def test_written_by_hand() -> None:
    network = read(
        description(
            {**CONVOLUTION, "stride": 2, "padding": "same", "activation": "relu"},
            {"name": "dw", "kind": "convolution", "kernel": [3, 1], "depthwise": True, "padding": [1, 0, 1, 0]},
            {
                "name": "short",
                "kind": "convolution",
                "inputs": "conv",
                "output_channels": 4,
                "kernel": 1,
                "output": "s",
            },
            {"name": "sum", "kind": "add", "inputs": ["dw", "s"], "activation": {"low": 0, "high": 4}},
            {"name": "pool", "kind": "average_pool", "kernel": "image"},
            {"name": "fc", "kind": "fully_connected", "output_channels": 10},
        )
    )
    assert network.name == "given"
    assert network.only_input.name == "input"
    assert network.outputs == ("fc",)
    assert network.only_input.format == network.only_input.format
    assert network.only_input.format.dims == (3, 8, 8)
    first, depthwise, _, add, pool, _ = network.layers
    assert isinstance(first, Convolution)
    assert isinstance(depthwise, Convolution)
    assert isinstance(pool, AveragePool)
    assert first.padding == Padding(0, 0, 1, 1)
    assert first.activation == RELU
    assert (depthwise.groups, depthwise.output_channels, depthwise.kernel) == (4, 4, (3, 1))
    assert add.activation == ActivationFunction(0, 4)
    assert pool.kernel == (4, 4)
    assert list(network.shapes) == ["input", "conv", "dw", "s", "sum", "pool", "fc"]
    assert not network.has_weights


def test_layers_in_any_order() -> None:
    layers = [{"name": "b", "kind": "activation", "inputs": ["a"]}, {**CONVOLUTION, "name": "a", "inputs": ["input"]}]
    network = read(description(*layers, outputs=["b"]))
    assert [layer.name for layer in network.layers] == ["a", "b"]


def test_weights_as_lists_and_as_base64() -> None:
    encoded = base64.b64encode(np.array([1, 2, 3, 4, 5, 6], "<f4").tobytes()).decode()
    fully_connected = {"name": "fc", "kind": "fully_connected", "output_channels": 2}
    for weight in ([[1, 2, 3], [4, 5, 6.0]], {"shape": [2, 3], "float32_base64": encoded}):
        network = read(
            description({**fully_connected, "weight": weight, "bias": [0.5, 1], "batch_norm": NORM}, shape=(3,))
        )
        (layer,) = network.weight_layers
        assert layer.weight is not None
        assert layer.bias is not None
        assert layer.batch_norm is not None
        np.testing.assert_array_equal(layer.weight, [[1, 2, 3], [4, 5, 6]])
        np.testing.assert_array_equal(layer.batch_norm.gamma, [1, 2])
        assert layer.weight.dtype == layer.bias.dtype == layer.batch_norm.gamma.dtype == np.float32


def test_sequence_and_vector_inputs() -> None:
    assert read(description(CONVOLUTION | {"kernel": [1, 3]}, shape=(3, 20))).only_input.shape == Shape(3, 1, 20)
    fully_connected = {"name": "fc", "kind": "fully_connected", "output_channels": 2}
    assert read(description(fully_connected, shape=(3,))).only_input.shape == Shape(3, 1, 1)


def test_input_format() -> None:
    form = {"dims": [8, 8, 3], "channels_last": True, "subtract": 128, "multiply": [0.5, 1, 2]}
    network = read({"input": {"name": "image", "shape": [3, 8, 8], "format": form}, "layers": [CONVOLUTION]})
    assert network.only_input.name == "image"
    assert network.only_input.format.channels_last
    assert network.only_input.format.subtract == (128.0,)
    assert network.only_input.format.multiply == (0.5, 1.0, 2.0)


SENSORS = [
    {"name": "image", "shape": [3, 8, 8], "format": {"dims": [8, 8, 3], "channels_last": True}},
    {"name": "vector", "shape": [5], "format": {"dims": [5], "multiply": 0.25}},
]
JOIN = {"name": "join", "kind": "concat", "inputs": ["conv", "vector"], "flattening": "channels_last"}


def test_several_inputs() -> None:
    network = read({"inputs": SENSORS, "layers": [CONVOLUTION, JOIN]})
    assert [(each.name, each.shape) for each in network.inputs] == [("image", Shape(3, 8, 8)), ("vector", Shape(5))]
    assert network.inputs[1].format.multiply == (0.25,)
    convolution, join = network.layers
    assert convolution.inputs == ("image",)
    assert isinstance(join, Concat)
    assert join.flattening is Flattening.CHANNELS_LAST
    assert network.shapes["join"] == Shape(network.shapes["conv"].elements + 5)
    written = write_json(network, with_weights=True)
    assert same(read_json(written.encode(), "n"), network)


def test_concat_along_the_height() -> None:
    rows = {"name": "rows", "kind": "concat", "inputs": ["conv", "conv"], "axis": "height"}
    network = read(description(CONVOLUTION, rows))
    channels, height, width = network.shapes["conv"]
    assert network.shapes["rows"] == Shape(channels, 2 * height, width)
    assert same(read_json(write_json(network, with_weights=True).encode(), "n"), network)


POOL: dict[str, Any] = {"name": "pool", "kind": "max_pool", "kernel": 2}
REFUSED: dict[str, tuple[Any, str]] = {
    "two kinds of inputs": ({"input": {"shape": [3]}, "inputs": SENSORS, "layers": [CONVOLUTION]}, "either `input` or"),
    "an empty list of inputs": ({"inputs": [], "layers": [CONVOLUTION]}, "a list of 1 to 100 objects"),
    "inputs that are not a list": ({"inputs": {}, "layers": [CONVOLUTION]}, "a list of 1 to 100 objects"),
    "an input without a name": ({"inputs": [{"shape": [3, 8, 8]}], "layers": [CONVOLUTION]}, "lacks its name"),
    "inputs of one name": ({"inputs": [SENSORS[1]] * 2, "layers": [CONVOLUTION]}, "a different name for each input"),
    "an unknown axis": (
        description(CONVOLUTION, {"name": "k", "kind": "concat", "inputs": ["conv"], "axis": "time"}),
        "one of channels, height, width",
    ),
    "an unknown flattening": (
        {"inputs": SENSORS, "layers": [CONVOLUTION, {**JOIN, "flattening": "rows"}]},
        "one of channels_first, channels_last",
    ),
    "no input": ({"layers": [CONVOLUTION]}, "the network lacks its input"),
    "no layers": ({"input": {"shape": [3]}}, "lacks its layers"),
    "empty layers": (description(), "one or more"),
    "layers of another type": ({"input": {"shape": [3]}, "layers": {"a": 1}}, "an object as its layers"),
    "a layer of another type": (description("conv"), "layer number 1 is the text 'conv'"),
    "unknown key on top": (description(CONVOLUTION, version=2), "unknown key 'version'; known keys are name, input"),
    "unknown key in a layer": (description({**CONVOLUTION, "strides": 2}), "'conv' has the unknown key 'strides'"),
    "key of another kind": (description({**POOL, "groups": 2}), "'groups'"),
    "unknown key in the input": ({"input": {"shape": [3], "size": 1}, "layers": [CONVOLUTION]}, "'size'"),
    "no kind": (description({"name": "a"}), "layer 'a' lacks its kind"),
    "unknown kind": (description({"name": "a", "kind": "gru"}), "'gru' as its kind; expected one of convolution"),
    "kind of another type": (description({"name": "a", "kind": ["add"]}), "a list of 1 as its kind"),
    "no name": (description({"kind": "add"}), "layer number 1 lacks its name"),
    "empty name": (description({**CONVOLUTION, "name": ""}), "name"),
    "name of two lines": (description({**CONVOLUTION, "name": "a\nb"}), r"'a\nb'"),
    "lone surrogate": (description({**CONVOLUTION, "name": "\ud800"}), "printable"),
    "long name": (description({**CONVOLUTION, "name": "a" * 2000}), "name"),
    "two layers of one name": (description(CONVOLUTION, {**CONVOLUTION, "output": "b"}), "two layers are named 'conv'"),
    "tensor written twice": (description(CONVOLUTION, {**CONVOLUTION, "name": "b", "output": "conv"}), "written twice"),
    "writes the input": (description({**CONVOLUTION, "output": "input"}), "layer 'conv'"),
    "dangling input": (description({**CONVOLUTION, "inputs": ["nowhere"]}), "layer 'conv' reads tensor 'nowhere'"),
    "dangling output": (description(CONVOLUTION, {**POOL, "inputs": ["input"]}), "'conv' is dangling"),
    "no such output": (description(CONVOLUTION, outputs=["y"]), "'y'"),
    "outputs of another type": (description(CONVOLUTION, outputs=[1]), "list of 1 as its outputs"),
    "inputs of another type": (description({**CONVOLUTION, "inputs": [1]}), "'conv' has a list of 1 as its inputs"),
    "no inputs": (description({**CONVOLUTION, "inputs": []}), "inputs"),
    "cycle": (
        description({**POOL, "name": "a", "inputs": "b"}, {**POOL, "name": "b", "inputs": "a"}),
        "cycle",
    ),
    "itself": (description({**POOL, "inputs": "pool"}), "cycle"),
    "shape of another type": (description(CONVOLUTION, shape="3x8x8"), "the text '3x8x8' as its shape"),
    "shape of four": (description(CONVOLUTION, shape=(1, 3, 8, 8)), "shape"),
    "shape of zero": (description(CONVOLUTION, shape=(3, 0, 8)), "shape"),
    "fraction in a shape": (description(CONVOLUTION, shape=(3, 8.5, 8)), "shape"),
    "whole fraction in a shape": (description(CONVOLUTION, shape=(3, 8.0, 8)), "shape"),
    "true in a shape": (description(CONVOLUTION, shape=(3, True, 8)), "shape"),
    "huge shape": (description(CONVOLUTION, shape=(3, 2**31 - 1, 2**31 - 1)), "microcontroller"),
    "extent beyond huge": (description(CONVOLUTION, shape=(3, 2**31, 1)), "2147483647"),
    "huge kernel": (description({**CONVOLUTION, "kernel": 2**31 - 1}), "does not fit"),
    "huge padding": (description({**CONVOLUTION, "padding": 2**31 - 1}), "microcontroller"),
    "huge number of channels": (description({**CONVOLUTION, "output_channels": 2**31 - 1}), "microcontroller"),
    "negative stride": (description({**CONVOLUTION, "stride": -1}), "the number -1 as its stride"),
    "kernel of three": (description({**CONVOLUTION, "kernel": [1, 2, 3]}), "kernel"),
    "unknown padding": (description({**CONVOLUTION, "padding": "full"}), "'full' as its padding"),
    "padding of two": (description({**CONVOLUTION, "padding": [1, 1]}), "padding"),
    "negative padding": (description({"name": "p", "kind": "pad", "padding": [-1, 0, 0, 0]}), "padding"),
    "groups that do not divide": (description({**CONVOLUTION, "groups": 2}), "layer 'conv'"),
    "groups and depthwise": (description({**CONVOLUTION, "groups": 3, "depthwise": True}), "both"),
    "depthwise of another type": (description({**CONVOLUTION, "depthwise": 1}), "true or false"),
    "unknown activation": (description({**CONVOLUTION, "activation": "gelu"}), "'gelu' as its activation"),
    "activation beside zero": (description({**CONVOLUTION, "activation": {"low": 1}}), "with 0 inside"),
    "activation of nothing": (description({**CONVOLUTION, "activation": {"low": 0, "high": 0}}), "with 0 inside"),
    "bound of another type": (description({**CONVOLUTION, "activation": {"high": "6"}}), "finite"),
    "add of one": (description({"name": "a", "kind": "add"}), "two inputs"),
    "add of two shapes": (
        description(CONVOLUTION, {"name": "a", "kind": "add", "inputs": ["conv", "input"]}),
        "the same shape",
    ),
    "weights of a wrong shape": (description({**CONVOLUTION, "weight": [[1]]}), "layer 'conv'"),
    "ragged weights": (description({**CONVOLUTION, "weight": [[1], [1, 2]]}), "the same length"),
    "mixed weights": (description({**CONVOLUTION, "weight": [1, [2]]}), "finite numbers"),
    "no weights in the list": (description({**CONVOLUTION, "weight": []}), "1 or more"),
    "weights too deep": (description({**CONVOLUTION, "weight": [[[[[1]]]]]}), "4"),
    "weights of text": (description({**CONVOLUTION, "weight": ["1"]}), "finite numbers"),
    "weights above float32": (description({**CONVOLUTION, "bias": [1e39, 0, 0, 0]}), "NaN or infinite"),
    "base64 of another length": (
        description({**CONVOLUTION, "weight": {"shape": [4, 3, 3, 3], "float32_base64": "AAAA"}}),
        "432 bytes",
    ),
    "base64 of a huge shape": (
        description({**CONVOLUTION, "weight": {"shape": [2**30, 2**30], "float32_base64": "AAAA"}}),
        "bytes",
    ),
    "no base64": (description({**CONVOLUTION, "bias": {"shape": [1], "float32_base64": "AA*AAA=="}}), "base64"),
    "base64 of another type": (description({**CONVOLUTION, "bias": {"shape": [1], "float32_base64": 1}}), "base64"),
    "NaN in base64": (
        description({**CONVOLUTION, "bias": {"shape": [4], "float32_base64": base64.b64encode(
            np.array([0, 0, np.nan, 0], "<f4").tobytes()).decode()}}),
        "NaN",
    ),
    "batch norm without variance": (
        description({**CONVOLUTION, "batch_norm": {key: NORM[key] for key in ("gamma", "beta", "mean", "epsilon")}}),
        "lacks one of",
    ),
    "batch norm without epsilon": (
        description({**CONVOLUTION, "batch_norm": {key: NORM[key] for key in ("gamma", "beta", "mean", "variance")}}),
        "epsilon",
    ),
    "batch norm that divides by zero": (
        description({**CONVOLUTION, "batch_norm": {**NORM, "variance": [0, 1], "epsilon": 0}}),
        "above 0",
    ),
    "batch norm of other channels": (description({**CONVOLUTION, "batch_norm": NORM}), "[4], one number"),
    "format of other elements": (
        {"input": {"shape": [3, 8, 8], "format": {"dims": [8, 8]}}, "layers": [CONVOLUTION]},
        "192 elements",
    ),
    "format of other channels": (
        {"input": {"shape": [3, 8, 8], "format": {"dims": [3, 8, 8], "subtract": [1, 2]}}, "layers": [CONVOLUTION]},
        "3 channels",
    ),
    "number beyond a float": (description({**CONVOLUTION, "activation": {"high": 10**400}}), "finite"),
}  # fmt: skip


@pytest.mark.parametrize("form", REFUSED)
def test_refused(form: str) -> None:
    value, said = REFUSED[form]
    with soon_and_small(), pytest.raises(InvalidNetwork) as caught:
        read(value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


UNREADABLE = {
    "cut short": '{"input": {"shape": [3',
    "more behind": '{"input": 1} {}',
    "NaN": '{"input": {"shape": [NaN]}}',
    "infinity": '{"input": {"shape": [-Infinity]}}',
    "key twice": '{"input": 1, "input": 2}',
    "nested lists": '{"input": ' + "[" * 200_000 + "]" * 200_000 + "}",
    "nested objects": '{"a":' * 200_000 + "1" + "}" * 200_000,
    "too many digits": '{"input": {"shape": [' + "9" * 1_000_000 + "]}}",
    "no text": '{"input": "\udcff"}',
}


@pytest.mark.parametrize("form", UNREADABLE)
def test_unreadable(form: str) -> None:
    with soon_and_small(), pytest.raises(UnreadableFile) as caught:
        read_network(UNREADABLE[form].encode("utf-8", "surrogateescape"), "bad")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_fraction_with_a_million_digits() -> None:
    with soon_and_small():
        network = read(
            json.dumps(description(CONVOLUTION)).replace(
                '"kernel": 3', '"bias": [0.' + "1" * 1_000_000 + ', 0, 0, 0], "kernel": 3'
            )
        )
    assert network.weight_layers[0].bias is not None


@pytest.mark.parametrize("space", [b"", b" \r\n\t", b"\xef\xbb\xbf", b" " * 100])
def test_json_is_known_by_its_first_character(space: bytes) -> None:
    assert read_network(space + json.dumps(description(CONVOLUTION)).encode(), "given").layers


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["name", "kind", "inputs", "output", "activation", "output_channels", "kernel", "stride", "padding",
                     "dilation", "groups", "depthwise", "weight", "bias", "batch_norm"]),
    JSON,
)  # fmt: skip
def test_any_value_in_any_field(key: str, value: Any) -> None:
    content = json.dumps(description({**CONVOLUTION, key: value})).encode()
    try:
        message = read_json(content, "fuzzed").name
    except NetworkError as error:
        message = str(error)
    assert "\n" not in message


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def arrays(*shape: int) -> st.SearchStrategy[Float32Array]:
    count = math.prod(shape)
    return st.lists(floats, min_size=count, max_size=count).map(lambda each: np.array(each, np.float32).reshape(shape))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Networks of every kind of layer, with odd names and numbers."""
    activations = st.sampled_from([LINEAR, RELU, RELU6]) | st.builds(
        ActivationFunction, st.floats(-1e9, 0), st.floats(1e-9, 1e9)
    )
    names = draw(
        st.lists(st.text(st.characters(categories=("L", "N", "P")), min_size=1), min_size=9, max_size=9, unique=True)
    )
    channels, height, width = (draw(st.integers(1, 4)) for _ in range(3))
    outputs = draw(st.integers(1, 3))
    has_weights = draw(st.booleans())

    def norm(count: int) -> BatchNorm | None:
        if not draw(st.booleans()):
            return None
        gamma, beta, mean, root = (draw(arrays(count)) for _ in range(4))
        return BatchNorm(gamma=gamma, beta=beta, mean=mean, variance=np.abs(root), epsilon=draw(st.floats(1e-9, 1)))

    def common(place: int, *inputs: int) -> dict[str, Any]:
        return {
            "name": names[place],
            "inputs": tuple(names[each] for each in inputs),
            "output": names[place],
            "activation": draw(activations),
        }

    layers: list[Layer] = [
        Convolution(
            **common(1, 0), output_channels=channels, kernel=(draw(st.integers(1, 2)), 1), padding=Padding(0, 1, 1, 0),
            dilation=(1, 2), stride=(1, 2), groups=draw(st.sampled_from([1, channels])),
            batch_norm=norm(channels), bias=draw(arrays(channels)) if has_weights else None,
        ),
        Activation(**common(2, 1)),
        Add(**common(3, 2, 1)),
        Concat(**common(4, 3, 3)),
        Pad(**common(5, 4), padding=Padding(0, 1, 2, 0), channels_before=1, channels_after=2),
        MaxPool(**common(6, 5), kernel=(2, 1), stride=(1, 2), padding=Padding(1, 0, 0, 0)),
        AveragePool(**common(7, 6), kernel=(1, 1), count_includes_padding=draw(st.booleans())),
        FullyConnected(**common(8, 7), output_channels=outputs, batch_norm=norm(outputs)),
    ]  # fmt: skip
    shape = Shape(channels, height, width)
    if has_weights:
        network = Network(
            name="n", inputs=(NetworkInput(names[0], shape, InputFormat(tuple(shape))),), layers=tuple(layers),
            outputs=(names[8],),
        )  # fmt: skip
        for place, layer in enumerate(layers):
            if isinstance(layer, Convolution | FullyConnected):
                extents = layer.weight_shape(network.input_shapes(layer))
                weight = np.random.default_rng(draw(st.integers(0, 9))).normal(size=extents).astype(np.float32)
                layers[place] = type(layer)(**{**layer.__dict__, "weight": weight})
    form = InputFormat(
        draw(st.sampled_from([(channels, height, width), (channels * height * width,)])),
        draw(st.booleans()),
        tuple(draw(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=1))),
        tuple(draw(st.lists(st.floats(-1e9, 1e9), min_size=channels, max_size=channels))),
    )
    return Network(
        name=draw(st.sampled_from(["a", "ein Netz", "网络"])),
        inputs=(NetworkInput(names[0], shape, form),),
        layers=tuple(layers),
        outputs=(names[8], *draw(st.sampled_from([(), (names[3],)]))),
        ends_in_softmax=draw(st.booleans()),
        host_steps=draw(st.sampled_from([(), (HostSteps("y", ("x", "out"), ("Sub", "Sigmoid")),)])),
        ranges=draw(st.sampled_from([{}, {names[0]: (-0.25, 1.5), names[8]: (0.0, 1e-3)}])),
        host_graph=draw(
            st.sampled_from(
                [
                    None,
                    HostGraph(
                        (HostRead("x", names[0], (1, channels * height * width), is_sample=True),), ("y",), b"ab"
                    ),
                ]
            )
        ),
    )


def same(one: Any, other: Any) -> bool:
    """Whether two networks or parts of them are equal, arrays bit by bit."""
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())
    if isinstance(one, Network | NetworkInput | Layer | BatchNorm | InputFormat):
        fields = type(one).__dataclass_fields__
        return type(one) is type(other) and all(same(getattr(one, each), getattr(other, each)) for each in fields)
    if isinstance(one, tuple) and not isinstance(one, Shape | Padding):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@settings(max_examples=100, deadline=None)
@given(networks())
def test_round_trip(network: Network) -> None:
    written = write_json(network, with_weights=True)
    again = read_json(written.encode(), "another name")
    assert same(again, network)
    assert write_json(again, with_weights=True) == written


@settings(max_examples=30, deadline=None)
@given(networks())
def test_without_weights_all_else_stays(network: Network) -> None:
    again = read_json(write_json(network, with_weights=False).encode(), "n")
    assert not again.has_weights
    assert write_json(again, with_weights=False) == write_json(network, with_weights=False)
    assert dict(again.shapes) == dict(network.shapes)


def test_a_tensor_is_flat_base64() -> None:
    network = read(description({**CONVOLUTION, "kernel": 1, "weight": [[[[1]], [[2]], [[3]]]] * 4}))
    written = json.loads(write_json(network, with_weights=True))
    weight = written["layers"][0]["weight"]
    assert weight["shape"] == [4, 3, 1, 1]
    assert np.frombuffer(base64.b64decode(weight["float32_base64"]), "<f4").tolist() == [1, 2, 3] * 4


def test_ten_thousand_layers() -> None:
    layers = [{"name": f"l{place}", "kind": "activation", "activation": "relu"} for place in range(10_000)]
    with soon_and_small(seconds=10, megabytes=100):
        assert len(read(description(*layers)).layers) == 10_000


def test_the_pages_example_is_read() -> None:
    page = (Path(__file__).parents[3] / "docs" / "json-description.md").read_text()
    examples = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert examples
    for example in examples:
        assert read(example).layers


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ranges", {"input": [1.0]}, "ranges; expected an object of tensor names with two numbers each"),
        ("ranges", {"input": [1.0, 2.0]}, "expected a finite interval around zero"),
        ("ranges", {"nothing": [-1.0, 2.0]}, "'nothing' names no tensor"),
        ("host_graph", {"reads": []}, "lacks its outputs"),
        ("host_graph", {"reads": [{"value": "x"}], "outputs": ["y"]}, "lacks its tensor"),
        ("host_graph", {"reads": [], "outputs": ["y"], "onnx_base64": "???"}, "expected base64 of at most"),
        ("host_graph", {"reads": [{"value": "x", "tensor": "input", "dims": [8]}], "outputs": []}, "is not an output"),
        ("host_graph", {"reads": [{"value": "x", "tensor": "pool", "dims": [7]}], "outputs": []}, "with 3 elements"),
        ("host_graph", {"reads": [{"value": "x", "tensor": "pool", "dims": [1] * 9}], "outputs": []}, "whole numbers"),
    ],
)
def test_invalid_ranges_and_host_graphs(field: str, value: object, message: str) -> None:
    description = {
        "input": {"shape": [3, 4, 4]},
        "layers": [{"name": "pool", "kind": "average_pool", "kernel": "image"}],
        field: value,
    }
    with pytest.raises(InvalidNetwork, match=message):
        read_json(json.dumps(description).encode(), "tiny")
