"""A normalisation by feature at the start of a file becomes the input format of a vector."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from network.layers import FullyConnected
from network.reading import read_network

RNG = np.random.default_rng(0)
CONSTANTS = {
    "mean": RNG.normal(size=6) * 100,
    "deviation": RNG.uniform(1, 1000, 6),
    "one": np.ones(6),
    "zero": np.zeros(6),
    "weight": RNG.normal(size=(6, 3)),
}
CONSTANTS["variance"] = CONSTANTS["deviation"] ** 2
CONSTANTS["row"] = CONSTANTS["mean"][None]


@pytest.mark.parametrize(
    "nodes",
    [
        [("Sub", ["x", "mean"]), ("Div", ["0", "deviation"])],
        [("Sub", ["x", "row"]), ("Div", ["0", "deviation"])],
        [("BatchNormalization", ["x", "one", "zero", "mean", "variance"])],
    ],
    ids=["sub and div", "sub of a row", "batch norm"],
)
def test_each_feature_has_its_own_numbers(nodes: list[tuple[str, list[str]]]) -> None:
    made = [helper.make_node(kind, inputs, [str(number)]) for number, (kind, inputs) in enumerate(nodes)]
    made.append(helper.make_node("MatMul", [str(len(nodes) - 1), "weight"], ["y"]))
    used = {name for node in made for name in node.input}
    graph = helper.make_graph(
        made,
        "features",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value.astype(np.float32), key) for key, value in CONSTANTS.items() if key in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    network = read_network(model.SerializeToString(), "features")
    assert [type(layer) for layer in network.layers] == [FullyConnected]
    np.testing.assert_allclose(network.only_input.format.subtract, CONSTANTS["mean"], rtol=1e-4)
    np.testing.assert_allclose(network.only_input.format.multiply, 1 / CONSTANTS["deviation"], rtol=1e-4)
