"""Test that a refusal lists every node that stands in the way, grouped by cause, and recognises layers in pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from network.errors import UnsupportedOperator
from tests.network.onnx_reading.onnx_models import model, node, positive, random, read

WEIGHTS: dict[str, Any] = {
    "w": random(4, 3, 3, 3), "w4": random(4, 4, 1, 1), "m": random(144, 5), "v": random(5, 5), "k": positive(5),
    "half": np.float32(0.5), "epsilon": np.float32(1e-5), "two": np.float32(2), "index": np.array([0]),
    "to_groups": np.array([-1, 2, 2, 6, 6]), "to_image": np.array([-1, 4, 6, 6]), "table": random(10, 5),
    "u": random(6, 6), "scales": np.array([1, 1, 2, 2], np.float32), "m4": random(576, 5),
}  # fmt: skip

SCORES = [node("Conv", "x w", "c"), node("Flatten", "c", "f"), node("Gemm", "f m", "g")]
LAST = node("Gemm", "last v", "y")


def message_of(nodes: list[onnx.NodeProto], dims: tuple[int | str, ...] = ("N", 3, 8, 8)) -> str:
    with pytest.raises(UnsupportedOperator) as caught:
        read(model(nodes, dims, WEIGHTS))
    return str(caught.value)


def test_all_causes_are_listed_the_most_fundamental_one_first() -> None:
    nodes = [
        *SCORES,
        node("Sigmoid", "g", "s1"),
        node("Mul", "g s1", "gated"),
        node("Tanh", "gated", "s2"),
        node("MaxPool", "c", "p", kernel_shape=[2, 2], dilations=[2, 2]),
        node("Resize", "p - scales", "r"),
        node("Conv", "r w4", "q"),
        node("ReduceMean", "q", "n", axes=[2, 3], keepdims=0),
        node("LSTM", "s2 w w", "rec"),
        node("Gemm", "rec v", "h"),
        node("Selu", "h", "s3"),
        node("Gemm", "s3 v", "o"),
        node("Concat", "o n", "y", axis=1),
    ]
    message = message_of(nodes)
    assert message.startswith("the network cannot be read for 5 causes: (1) recurrent cells, 1 node: node 'REC' (LSTM)")
    parts = [
        "(2) resizing, 1 node: node 'R' (Resize)",
        "(3) products, differences or comparisons of two tensors, 1 node: node 'GATED' (Mul)",
        "(4) activation functions that need a table, 3 nodes: node 'S1' (Sigmoid)",
        "(also node 'S2' (Tanh), node 'S3' (Selu))",
        "(5) forms and attributes of operators, 1 node: node 'P' (MaxPool)",
        "Without these, 2 layers can be read, the last of them 'G'",
    ]
    assert [message.index(part) for part in parts] == sorted(message.index(part) for part in parts)


def test_many_nodes_of_one_cause_are_counted_and_the_first_are_named() -> None:
    nodes = [*SCORES, *(node("Selu", f"s{i}" if i else "g", f"s{i + 1}") for i in range(7)), node("Gemm", "s7 v", "y")]
    message = message_of(nodes)
    assert message.startswith("activation functions that need a table, 7 nodes: node 'S1' (Selu)")
    assert "(also node 'S2' (Selu), node 'S3' (Selu), node 'S4' (Selu), ...)" in message


def test_nodes_that_only_the_end_needs_are_not_listed() -> None:
    nodes = [*SCORES, node("Selu", "g", "s1"), node("Gemm", "s1 v", "o"), node("Sigmoid", "o", "y")]
    assert "Sigmoid" not in message_of(nodes)


@pytest.mark.parametrize("square", ["Mul", "Pow"])
def test_layer_normalization_in_pieces(square: str) -> None:
    nodes = [
        *SCORES,
        node("ReduceMean", "g", "mean", axes=[1]),
        node("Sub", "g mean", "d"),
        node(square, "d d" if square == "Mul" else "d two", "d2"),
        node("ReduceMean", "d2", "variance", axes=[1]),
        node("Add", "variance epsilon", "e"),
        node("Sqrt", "e", "sd"),
        node("Div", "d sd", "n"),
        node("Mul", "n k", "last"),
        LAST,
    ]
    message = message_of(nodes)
    assert message.startswith("node 'MEAN' (ReduceMean) to node 'N' (Div) are a normalization in 7 pieces")
    assert "use batch norm" in message


def test_attention_in_pieces() -> None:
    nodes = [
        *(node("MatMul", "x u", name) for name in ("q", "k1", "val")),
        node("Transpose", "k1", "kt", perm=[0, 2, 1]),
        node("MatMul", "q kt", "scores"),
        node("Mul", "scores half", "scaled"),
        node("Softmax", "scaled", "p", axis=2),
        node("MatMul", "p val", "a"),
        node("Flatten", "a", "fl"),
        node("Gemm", "fl m36", "y"),
    ]
    with pytest.raises(UnsupportedOperator) as caught:
        read(model(nodes, ("N", 6, 6), WEIGHTS | {"m36": random(36, 5)}))
    message = str(caught.value)
    assert "(1) attention, 1 node: node 'SCORES' (MatMul) to node 'A' (MatMul) are an attention" in message
    assert "'P' (Softmax)" not in message


def test_channel_shuffle() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Reshape", "c to_groups", "a"),
        node("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "b to_image", "d"),
        node("Conv", "d w4", "y"),
    ]
    message = message_of(nodes)
    assert message.startswith("node 'A' (Reshape) to node 'D' (Reshape) are a channel shuffle, whose result node 'Y'")


def test_embedding() -> None:
    nodes = [*SCORES, node("Gather", "table g", "e", axis=0), node("MatMul", "e v", "y")]
    assert "'E' (Gather) looks up rows of a table by an activation tensor" in message_of(nodes)


def test_an_operator_of_another_domain_behind_which_reading_goes_on() -> None:
    nodes = [*SCORES, node("FancyNorm", "g", "n", domain="com.example"), node("Slice", "n index index", "s"),
             node("Gemm", "s v", "y")]  # fmt: skip
    message = message_of(nodes)
    assert "(1) operators outside the ONNX standard, 1 node: node 'N' (FancyNorm)" in message
    assert "(2) parts of tensors, 1 node: node 'S' (Slice)" in message


def test_a_recurrent_cell_is_named_before_its_attributes() -> None:
    lstm = node("LSTM", "x w w", "rec", activations=["Sigmoid", "Tanh", "Tanh"], hidden_size=4)
    message = message_of([lstm, node("Gemm", "rec v", "y")], ("N", 4, 5))
    assert message.startswith("node 'REC' (LSTM) has an operator that is not supported; recurrent layers")


def test_a_subgraph_in_the_way() -> None:
    branches = {
        name: helper.make_graph([node("Mul", f"g {by}", name)], name, [],
                                [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])
        for name, by in (("then_branch", "half"), ("else_branch", "k"))
    }  # fmt: skip
    nodes = [*SCORES, node("ReduceMax", "g", "largest", keepdims=0), node("Greater", "largest half", "is_large"),
             node("If", "is_large", "last", **branches), LAST]  # fmt: skip
    message = message_of(nodes)
    assert "control flow, 1 node: node 'LAST' (If)" in message
    assert "'IS_LARGE' (Greater)" in message


def test_the_message_of_a_long_refusal_is_bounded() -> None:
    nodes = [*SCORES, *(node("Selu", f"s{i}" if i else "g", f"s{i + 1}") for i in range(3000)),
             node("Gemm", "s3000 v", "y")]  # fmt: skip
    for each in nodes:
        each.name = "n" * 250 + each.output[0]
    assert len(message_of(nodes)) < 2000
