"""Network and dataset files that are read, fitted and trained in an instant."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from network.json_reading.description import write_json
from network.layers import RELU, RELU6, Convolution, FullyConnected, Padding, Shape
from network.network import Network
from tests.builders import network_of, random_batch_norm
from tests.onnx_files import to_onnx

CLASSES = 3
SIDE = 4
DIGITS_ONNX = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"


def tiny_network(seed: int = 0) -> Network:
    """Return a network for 4x4 images with 1 channel and 3 classes.

    By MixPC, it needs 569 bytes of flash and 144 of RAM at 8 bits, 227 and 48 at 2 bits.
    """
    rng = np.random.default_rng(seed)

    def weights(*shape: int) -> npt.NDArray[np.float32]:
        return rng.standard_normal(shape).astype(np.float32)

    return network_of(
        [
            Convolution(
                name="first",
                inputs=("input",),
                output="first",
                activation=RELU,
                output_channels=8,
                kernel=(3, 3),
                padding=Padding(1, 1, 1, 1),
                weight=weights(8, 1, 3, 3),
                batch_norm=random_batch_norm(rng, 8),
            ),
            FullyConnected(
                name="last",
                inputs=("first",),
                output="scores",
                output_channels=CLASSES,
                weight=weights(CLASSES, 8 * SIDE * SIDE) / np.float32(8),
                bias=weights(CLASSES),
            ),
        ],
        Shape(1, SIDE, SIDE),
    )


def wide_json() -> bytes:
    """Return a network with one channel so large that 16-bit constants do not suffice for its first layer.

    So this layer gets wide constants and functions of its own, and the network needs more flash than the solver counts.
    """
    network = tiny_network()
    first, last = network.layers
    assert isinstance(first, Convolution)
    assert first.batch_norm is not None
    assert first.weight is not None
    gamma = first.batch_norm.gamma.copy()
    gamma[0] *= 3000
    large = replace(first, activation=RELU6, batch_norm=replace(first.batch_norm, gamma=gamma))
    weight = np.repeat(first.weight, 8, axis=1)
    middle = replace(first, name="middle", inputs=("first",), output="middle", weight=weight)
    layers = (large, middle, replace(last, inputs=("middle",)))
    return write_json(replace(network, layers=layers), with_weights=True).encode()


def tiny_json(*, with_weights: bool = True) -> bytes:
    return write_json(tiny_network(), with_weights=with_weights).encode()


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def tiny_dataset(samples: int = 96, **changes: Any) -> bytes:
    """Return a dataset file for the tiny network.

    Args:
        samples: Number of training samples.
        changes: Name of an array -> its replacement.
    """
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {
        "train_x": rng.standard_normal((samples, 1, SIDE, SIDE)).astype(np.float32),
        "train_y": rng.integers(0, CLASSES, samples),
        "test_x": rng.standard_normal((30, 1, SIDE, SIDE)).astype(np.float32),
        "test_y": rng.integers(0, CLASSES, 30),
    }
    return npz(**(arrays | changes))


def _changed_onnx(change: Any) -> bytes:
    model = onnx.load_from_string(to_onnx(tiny_network()))
    change(model)
    content: bytes = model.SerializeToString()
    return content


def _name_external_file(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def _close_a_cycle(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def _use_unknown_operator(model: onnx.ModelProto) -> None:
    read = model.graph.node[-1].input[0]
    model.graph.node[-1].input[0] = "behind"
    model.graph.node.append(helper.make_node("Erf", [read], ["behind"], name="the_erf"))


def _spoil_weights(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if values.ndim == 4:
            values[0] = np.nan
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _huge_shape() -> bytes:
    description = json.loads(tiny_json(with_weights=False))
    description["input"]["shape"] = description["input"]["format"]["dims"] = [10**9, 10**9, 10**9]
    return json.dumps(description).encode()


BAD_NETWORKS: dict[str, tuple[bytes, str]] = {
    "truncated ONNX": (to_onnx(tiny_network())[:-200], "unreadable-file"),
    "no network at all": (b"\x00\x01garbage" * 50, "unreadable-file"),
    "empty file": (b"", "unreadable-file"),
    "truncated JSON": (tiny_json()[:-20], "unreadable-file"),
    "external data": (_changed_onnx(_name_external_file), "unreadable-file"),
    "cycle": (_changed_onnx(_close_a_cycle), "invalid-network"),
    "operator outside": (_changed_onnx(_use_unknown_operator), "unsupported-operator"),
    "NaN weights": (_changed_onnx(_spoil_weights), "invalid-network"),
    "huge shape": (_huge_shape(), "invalid-network"),
}
"""What is wrong -> the file, and the problem that it is."""
