"""Damaged and unsupported quantization: each message names the node, and damaged files raise our errors alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from network.errors import NetworkError, UnsupportedOperator
from network.onnx_reading.quantized.float_graph import REWRITES
from network.onnx_reading.quantized.names import FOREIGN_OPERATORS
from network.reading import read_network
from tests.network.onnx_reading.onnx_models import model, node, random, read
from tests.network.onnx_reading.quantized_models import dynamically_quantized, float_model, statically_quantized

DAMAGE: dict[str, Any] = {
    "w": np.ones((12, 4), np.int8), "s": np.float32(0.5), "z": np.int8(0), "zero": np.float32(0),
    "nan": np.float32(np.nan),
    "negative": np.float32(-1), "infinite": np.float32(np.inf), "three": np.ones(3, np.float32),
    "blocks": np.ones((3, 4), np.float32), "whole": np.int32(1), "float": np.float32(0), "z2": np.zeros(2, np.int8),
    "none": np.zeros(0, np.float32), "k9": np.float32(9), "k": np.float32(2.5), "real": random(12, 4),
    "s2": np.float32(2), "huge": np.float64(1e300), "big": np.float32(1e20),
}  # fmt: skip
BAD: dict[str, tuple[onnx.NodeProto, str]] = {
    "scale of zero": (node("DequantizeLinear", "w zero z", "v"), "finite number above zero"),
    "scale of NaN": (node("DequantizeLinear", "w nan z", "v"), "finite number above zero"),
    "scale beyond float32": (node("DequantizeLinear", "w huge z", "v"), "finite number above zero"),
    "scale of NaN in Quant": (node("Quant", "real nan float s2", "v"), "finite number above zero"),
    "huge zero point in Quant": (node("Quant", "real s big s2", "v"), "zero point"),
    "scales of another shape in Quant": (node("Quant", "real three float s2", "v"), "broadcast"),
    "float zero point of a product": (node("MatMulInteger", "x w z float", "v"), "expected integers"),
    "several zero points of a product": (node("MatMulInteger", "x w z2", "v"), "expected one of each"),
    "negative scale": (node("DequantizeLinear", "w negative z", "v"), "finite number above zero"),
    "infinite scale": (node("DequantizeLinear", "w infinite z", "v"), "finite number above zero"),
    "whole scale": (node("DequantizeLinear", "w whole z", "v"), "finite number above zero"),
    "too few scales": (node("DequantizeLinear", "w three", "v"), "3 scales along the axis 1"),
    "no scale": (node("DequantizeLinear", "w none", "v"), "0 scales"),
    "axis outside": (node("DequantizeLinear", "w three", "v", axis=7), "along the axis 7"),
    "axis of another type": (node("DequantizeLinear", "w three", "v", axis="x"), "'axis' of another type"),
    "blocks": (node("DequantizeLinear", "w blocks", "v"), "blocked quantization"),
    "block size": (node("DequantizeLinear", "w s", "v", block_size=4), "block_size"),
    "zero points of another number": (node("DequantizeLinear", "w three z2", "v"), "3 scales and 2 zero points"),
    "float zero point": (node("DequantizeLinear", "w s float", "v"), "integers as zero points"),
    "float codes": (node("DequantizeLinear", "real s z", "v"), "expected integers"),
    "computed scale": (node("DequantizeLinear", "w x", "v"), "expected a constant scale"),
    "too few inputs": (node("DequantizeLinear", "w", "v"), "at least 2 inputs"),
    "QLinearConv without a result's scale": (node("QLinearConv", "x s z w s z", "v"), "at least 8 inputs"),
    "QGemm with a text as alpha": (node("QGemm", "x s z w s z", "v", alpha="x"), "'alpha'"),
    "concat of too few": (node("QLinearConcat", "s z x s z s", "v"), "6 inputs"),
    "channels last": (node("QLinearAveragePool", "x s z s z", "v", channels_last=1), "channels_last"),
    "nine bits": (node("Quant", "real s float k9", "v"), "quantizes to 9 bits"),
    "two and a half bits": (node("Quant", "real s float k", "v"), "quantizes to 2.5 bits"),
    "rounding that shifts": (node("Quant", "x s float s2", "v", rounding_mode="FLOOR"), "rounding_mode=FLOOR"),
    "unknown rounding": (node("Quant", "real s float s2", "v", rounding_mode="DICE"), "rounding_mode=DICE"),
    "one bit": (
        node("BipolarQuant", "real s", "v", domain="qonnx.custom_op.general"),
        "only Quant is: export the float network",
    ),
}


@pytest.mark.parametrize("form", BAD)
def test_damaged_or_unsupported(form: str) -> None:
    bad, said = BAD[form]
    with pytest.raises(NetworkError) as caught:
        read(model([bad, node("MatMul", "x v", "y")], ("N", 12), DAMAGE))
    assert said in str(caught.value)
    assert f"'V' ({bad.op_type})" in str(caught.value)


# nodes, and what the message contains; the codes "q" have the scale 0.5
MISREAD: dict[str, tuple[list[onnx.NodeProto], str]] = {
    "another scale": ([node("DequantizeLinear", "q s2 z", "y")], "was written with 0.5"),
    "never quantized": ([node("Relu", "x", "r"), node("DequantizeLinear", "r s z", "y")], "no node quantizes it"),
    "computed with": ([node("Cast", "q", "y", to=TensorProto.FLOAT)], "computes with the codes"),
    "joined": (
        [
            node("QuantizeLinear", "x s2 z", "p"), node("Concat", "q p", "c", axis=1),
            node("DequantizeLinear", "c s z", "y"),
        ],
        "different scales",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", MISREAD)
def test_codes_read_in_a_wrong_way(form: str) -> None:
    nodes, said = MISREAD[form]
    with pytest.raises(NetworkError, match=said):
        read(model([node("QuantizeLinear", "x s z", "q"), *nodes], ("N", 12), DAMAGE))


def test_many_readers_of_one_constant_are_bounded() -> None:
    constants = {"w": np.zeros((1024, 1024), np.int8), "s": np.float32(1)}
    nodes = [node("DequantizeLinear", "w s", f"v{index}") for index in range(50)]
    total = node("Sum", " ".join(f"v{index}" for index in range(50)), "m")
    with pytest.raises(UnsupportedOperator, match="increases the dequantized constants"):
        read(model([*nodes, total, node("MatMul", "x m", "y")], ("N", 1024), constants))


CONTENTS = [
    statically_quantized(float_model(), "QDQ", per_channel=True).SerializeToString(),
    statically_quantized(float_model(), "QOperator").SerializeToString(),
    dynamically_quantized(float_model()).SerializeToString(),
]


@settings(max_examples=500, deadline=2000)
@given(
    st.sampled_from(CONTENTS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_changed_bytes(content: bytes, changes: list[tuple[float, int]]) -> None:
    changed = bytearray(content)
    for place, value in changes:
        changed[int(place * len(changed))] = value
    assert "\n" not in outcome(bytes(changed))


def outcome(content: bytes) -> str:
    """Return the name of the network that is read, or the message of the `NetworkError`; other errors are raised."""
    try:
        return read_network(content, "changed").name
    except NetworkError as error:
        return str(error)


def test_foreign_operators_that_are_parsed_are_rewritten_or_refused() -> None:
    assert REWRITES.keys() >= FOREIGN_OPERATORS
