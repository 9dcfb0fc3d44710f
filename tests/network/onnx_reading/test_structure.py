"""Test files of old opsets and files with functions: they give the network of the same file in a newer form."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from network.errors import InvalidNetwork, NetworkError, UnsupportedOperator
from network.onnx_reading.structure import NEWEST_OPSET, OLDEST_OPSET
from network.reading import read_network
from tests.network.onnx_reading.onnx_models import agreeing, model, node, positive, random, read
from tests.network.onnx_reading.test_damaged_files import outcome, soon_and_small

WEIGHTS: dict[str, Any] = {
    "w": random(4, 3, 3, 3), "b": positive(4), "v": positive(4), "s": np.array([-1, 64]), "m": random(300, 64),
    "bias": random(300),
}  # fmt: skip


def old_model(opset: int) -> onnx.ModelProto:
    """Return a model whose nodes have the attributes of old opsets, with all initializers among its inputs."""
    broadcast = {"broadcast": 1} if opset < 7 else {}
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 0, 0], strides=[2, 2]),
        node("BatchNormalization", "c b b b v", "n"),
        node("Clip", "n", "r", min=0.0, max=6.0),
        node("Pad", "r", "p", pads=[0, 0, 1, 1, 0, 0, 1, 1]),
        node("MaxPool", "p", "q", kernel_shape=[3, 3]),
        node("Dropout", "q", "d"),
        node("Reshape", "d s", "f"),
        node("Gemm", "f m bias", "y", transB=1, **broadcast),
    ]
    built = model(nodes, ("N", 3, 8, 8), WEIGHTS, opset=opset)
    built.ir_version = 3
    built.graph.input.extend(
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in WEIGHTS.items()
    )
    return built


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, 11))
def test_old_opsets(opset: int) -> None:
    built = old_model(opset)
    if opset < 7:
        # onnxruntime begins with opset 7; nothing of this model but an attribute without effect changed there.
        del built.graph.node[-1].attribute[-1]
        agreeing(old_model(7))
        weights = [read(each).weight_layers[-1].weight for each in (old_model(6), old_model(7))]
        np.testing.assert_array_equal(weights[0], weights[1])
        return
    network = agreeing(built)
    assert [layer.name for layer in network.layers] == ["C", "Q", "Y"]


def test_the_newest_opset() -> None:
    built = model([node("Conv", "x w", "y")], constants=WEIGHTS, opset=NEWEST_OPSET)
    assert len(read(built).layers) == 1


@pytest.mark.parametrize("opset", [1, 5, NEWEST_OPSET + 1])
def test_other_opsets_are_refused(opset: int) -> None:
    with pytest.raises(UnsupportedOperator, match=f"opset {opset}; expected opset 6 to {NEWEST_OPSET}.*opset_version"):
        read(model([node("Relu", "x", "y")], opset=opset))


def test_an_old_file_that_cannot_be_converted() -> None:
    with pytest.raises(UnsupportedOperator, match=r"opset 9, and the onnx library cannot convert.*opset_version"):
        read(model([node("Upsample", "x", "y")], opset=9))


OLD = old_model(9).SerializeToString()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes_of_an_old_file(changes: list[tuple[int, int]]) -> None:
    content = bytearray(OLD)
    for place, value in changes:
        content[place] = value
    assert "\n" not in outcome(bytes(content))


@settings(max_examples=200, deadline=None)
@given(
    st.integers(OLDEST_OPSET, 10),
    st.lists(
        st.tuples(
            st.integers(0, 7), st.integers(0, 5), st.integers(0, 7), st.sampled_from([-1, 0, 1, 3, 2**31, 2**62])
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_changed_structure_of_an_old_file(opset: int, changes: list[tuple[int, int, int, int]]) -> None:
    built = old_model(opset)
    for place, kind, other, number in changes:
        changed = built.graph.node[place]
        if kind == 0:
            changed.op_type = built.graph.node[other].op_type
        elif kind == 1 and changed.input:
            del changed.input[other % len(changed.input)]
        elif kind == 2:
            changed.input.append(built.graph.node[other].output[0])
        elif kind == 3 and changed.attribute:
            del changed.attribute[other % len(changed.attribute)]
        elif kind == 4 and changed.attribute:
            changed.attribute[0].ints[:] = [number] * other
        elif kind == 5:
            built.graph.initializer[other % len(WEIGHTS)].dims[:] = [number] * (other % 5)
    content = built.SerializeToString()
    with soon_and_small(seconds=2, megabytes=64):
        assert "\n" not in outcome(content)


def with_functions(bodies: dict[str, list[onnx.NodeProto]], nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    """Return a model that defines functions of one input "a" and one output "z" in the domain "mine"."""
    built = model(nodes, constants={"w": random(3, 3, 3, 3)})
    built.opset_import.append(helper.make_opsetid("mine", 1))
    built.functions.extend(
        helper.make_function("mine", name, ["a"], ["z"], body, [*built.opset_import]) for name, body in bodies.items()
    )
    return built


def test_functions_are_inlined() -> None:
    bodies = {
        "Clamped": [node("Relu", "a", "r"), node("Scaled", "r", "z", domain="mine")],
        "Scaled": [node("Constant", "", "two", value_float=2.0), node("Mul", "a two", "z")],
    }
    network = agreeing(
        with_functions(bodies, [node("Conv", "x w", "c"), node("Clamped", "c", "d", domain="mine"),
                                node("Conv", "d w", "y")])
    )  # fmt: skip
    assert network.outputs == ("y",)
    assert len(network.weight_layers) == 3


def test_functions_that_call_each_other_in_a_cycle() -> None:
    bodies = {
        "First": [node("Second", "a", "z", domain="mine")],
        "Second": [node("First", "a", "z", domain="mine")],
    }
    with pytest.raises(InvalidNetwork, match=r"functions.*cycle"):
        read(with_functions(bodies, [node("First", "x", "y", domain="mine")]))


def test_functions_that_double_at_every_level() -> None:
    bodies = {
        f"F{level}": [node(f"F{level + 1}", "a", "b", domain="mine"), node(f"F{level + 1}", "b", "z", domain="mine")]
        for level in range(40)
    } | {"F40": [node("Relu", "a", "z")]}
    with soon_and_small(), pytest.raises(UnsupportedOperator, match="expand to"):
        read(with_functions(bodies, [node("F0", "x", "y", domain="mine")]))


def test_weights_of_a_file_with_functions_are_not_copied_by_the_library() -> None:
    built = with_functions({"Clamped": [node("Relu", "a", "z")]}, [node("Clamped", "x", "r", domain="mine"),
                                                                   node("Conv", "r big", "y")])  # fmt: skip
    built.graph.initializer.append(numpy_helper.from_array(random(64, 3, 8, 8), "big"))
    assert read(built).layers[-1].output == "y"


def test_types_of_initializers_that_do_not_exist() -> None:
    built = old_model(9)
    built.graph.initializer[0].data_type = TensorProto.COMPLEX64 + 100
    with pytest.raises(NetworkError):
        read_network(built.SerializeToString(), "typed")
