"""Networks that are changed so that they still may be valid: other attributes, operators, connections and constants.

The damages of `tests.network.mutants` mostly give invalid files. These changes often give valid networks, and
a reader that overlooks an attribute reads them wrongly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.network.mutants import one_of

Rng = np.random.Generator
Change = Callable[[GraphProto, NodeProto, Rng], None]

_REPLACEMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Relu": ("LeakyRelu", "Elu", "Sigmoid", "HardSwish", "Identity", "Abs", "Neg", "Clip", "Tanh", "Dropout", "Selu"),
    "Add": ("Sub", "Mul", "Max", "Div", "Sum", "Min"),
    "Sub": ("Add", "Mul"),
    "Mul": ("Add", "Div"),
    "MaxPool": ("AveragePool", "LpPool"),
    "AveragePool": ("MaxPool", "LpPool"),
    "GlobalAveragePool": ("GlobalMaxPool", "GlobalLpPool"),
    "ReduceMean": ("ReduceMax", "ReduceSum", "ReduceL2"),
    "Softmax": ("LogSoftmax", "Sigmoid"),
    "MatMul": ("Gemm",),
    "Gemm": ("MatMul",),
}
_WINDOWS: Final = ("Conv", "MaxPool", "AveragePool")


def _integers(rng: Rng, low: int, high: int, count: int) -> list[int]:
    return [int(each) for each in rng.integers(low, high, count)]


def _attribute_of_window(rng: Rng) -> tuple[str, Any]:
    found: tuple[str, Any] = one_of(
        rng,
        [
            ("pads", _integers(rng, 0, 3, 4)),
            ("strides", _integers(rng, 1, 4, 2)),
            ("dilations", _integers(rng, 1, 3, 2)),
            ("auto_pad", one_of(rng, ("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"))),
            ("ceil_mode", 1),
            ("count_include_pad", 1),
            ("kernel_shape", _integers(rng, 1, 4, 2)),
            ("group", one_of(rng, (1, 2, 4))),
        ],
    )
    return found


_ATTRIBUTES: Final[Mapping[str, Callable[[Rng], tuple[str, Any]]]] = {
    **dict.fromkeys(_WINDOWS, _attribute_of_window),
    "Gemm": lambda rng: one_of(
        rng,
        [("alpha", 0.5), ("alpha", -1.0), ("beta", 2.0), ("beta", 0.0), ("transA", 1), ("transB", 0), ("transB", 1)],
    ),
    "BatchNormalization": lambda rng: ("epsilon", one_of(rng, (1e-7, 1e-3, 0.1))),
    **dict.fromkeys(
        ("Flatten", "Softmax", "Concat", "Gather", "Split"), lambda rng: ("axis", int(rng.integers(-3, 4)))
    ),
    "Transpose": lambda rng: ("perm", [0, *(1 + each for each in rng.permutation(3).tolist())]),
    "ReduceMean": lambda rng: one_of(rng, [("keepdims", 0), ("keepdims", 1), ("axes", [1]), ("axes", [2, 3])]),
    "Pad": lambda rng: ("mode", one_of(rng, ("constant", "reflect", "edge"))),
    "LeakyRelu": lambda rng: ("alpha", one_of(rng, (0.1, 0.0))),
}


def _change_attribute(_: GraphProto, node: NodeProto, rng: Rng) -> None:
    """Give a node another value of an attribute, or one that it did not have."""
    if node.op_type in _ATTRIBUTES:
        name, value = _ATTRIBUTES[node.op_type](rng)
        others = [each for each in node.attribute if each.name != name]
        del node.attribute[:]
        node.attribute.extend([*others, helper.make_attribute(name, value)])


def _replace_operator(_: GraphProto, node: NodeProto, rng: Rng) -> None:
    if node.op_type in _REPLACEMENTS:
        node.op_type = one_of(rng, _REPLACEMENTS[node.op_type])


def _insert_node(graph: GraphProto, node: NodeProto, rng: Rng) -> None:
    """Put a further node before an input of a node."""
    if not node.input:
        return
    place = int(rng.integers(0, len(node.input)))
    source, name = node.input[place], f"inserted_{len(graph.node)}"

    def constant(values: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(values), f"{name}_{len(graph.initializer)}"))
        added: str = graph.initializer[-1].name
        return added

    scale = np.float32(one_of(rng, (0.5, -1.0, 2.0, -3.0)))
    per_channel = np.linspace(0.5, 2, one_of(rng, (1, 3, 4)), dtype=np.float32)
    pads = np.array([0, 0, *_integers(rng, 0, 3, 2), 0, 0, *_integers(rng, 0, 3, 2)], np.int64)
    shape = np.array(one_of(rng, ([0, -1], [0, 0, -1], [1, -1], [0, -1, 1, 1], [0, 4, -1, 2])), np.int64)
    operators: list[tuple[str, list[Any], dict[str, Any]]] = [
        *((each, [], {}) for each in ("Relu", "Neg", "Identity", "Dropout")),
        ("Mul", [scale], {}),
        ("Add", [scale], {}),
        ("Div", [scale], {}),
        ("Mul", [per_channel.reshape(one_of(rng, [(-1, 1, 1), (1, -1, 1, 1), (-1,)]))], {}),
        ("Transpose", [], {"perm": [0, *(1 + each for each in rng.permutation(3).tolist())]}),
        ("Clip", [np.float32(one_of(rng, (-1, 0, 0.2))), np.float32(one_of(rng, (0.5, 1, 6)))], {}),
        ("Pad", [pads, np.float32(one_of(rng, (0, 1)))], {}),
        ("Reshape", [shape], {}),
        ("Cast", [], {"to": int(TensorProto.FLOAT)}),
    ]
    operator, constants, attributes = one_of(rng, operators)
    before = helper.make_node(operator, [source, *map(constant, constants)], [name], name, **attributes)
    node.input[place] = name
    nodes = list(graph.node)
    nodes.insert(next(at for at, each in enumerate(nodes) if each is node or each == node), before)
    del graph.node[:]
    graph.node.extend(nodes)


def _reconnect(graph: GraphProto, node: NodeProto, rng: Rng) -> None:
    """Let a node read another tensor."""
    tensors = [output for each in graph.node for output in each.output] + [each.name for each in graph.input]
    if node.input:
        node.input[int(rng.integers(0, len(node.input)))] = one_of(rng, tensors)


def _change_constant(graph: GraphProto, _: NodeProto, rng: Rng) -> None:
    """Change elements or the form of a constant."""
    if not graph.initializer:
        return
    tensor = one_of(rng, graph.initializer)
    values = numpy_helper.to_array(tensor).copy()
    if values.size and values.dtype == np.int64:
        values.flat[int(rng.integers(0, values.size))] += one_of(rng, (-1, 1, 2))
    elif values.size and values.dtype == np.float32:
        kind = int(rng.integers(0, 4))
        if kind == 0:
            values *= np.float32(one_of(rng, (0.0, -1.0, 1e-20, 100.0)))
        elif kind == 1:
            values.flat[int(rng.integers(0, values.size))] = one_of(rng, (0.0, -5.0, 1e-38, 50.0))
        elif kind == 2 and values.ndim > 1:
            values = np.ascontiguousarray(np.swapaxes(values, 0, 1))
        elif values.ndim:
            values = np.ascontiguousarray(values[..., : max(1, values.shape[-1] - 1)])
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


CHANGES: Final[Mapping[str, Change]] = {
    "attribute": _change_attribute,
    "operator": _replace_operator,
    "inserted node": _insert_node,
    "connection": _reconnect,
    "constant": _change_constant,
}


def changed(original: ModelProto, rng: Rng) -> tuple[ModelProto, list[str]]:
    """Return a network with one to three changes, and the kind of each with the operator of its node."""
    model = ModelProto()
    model.CopyFrom(original)
    made: list[str] = []
    for _ in range(int(rng.integers(1, 4))):
        kind = one_of(rng, list(CHANGES))
        node = one_of(rng, model.graph.node)
        made.append(f"{kind} of {node.op_type}")
        CHANGES[kind](model.graph, node, rng)
    return model, made
