"""The graph that the torch reader makes of a module, as an ONNX model for onnxruntime."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from network.onnx_reading.graph import UNREADABLE, Graph
from qat.torch_reader.exporting import exported_in_evaluation
from qat.torch_reader.graphs import graph_of


def unconverted(graph: Graph) -> list[str]:
    """Return the operators of the nodes whose arguments are not converted."""
    return [node.operator for node in graph.nodes if UNREADABLE in node.attributes.values()]


def results_of(graph: Graph, example: Tensor) -> list[npt.NDArray[np.float32]]:
    """Return the outputs of a graph, computed by onnxruntime after the checks of the onnx library."""
    nodes = [
        helper.make_node(node.operator, node.inputs, node.outputs, name=node.name, **node.attributes)
        for node in graph.nodes
    ]
    constants = [
        numpy_helper.from_array(array.astype(np.float32) if array.dtype.kind == "f" else np.asarray(array), name)
        for name, array in graph.initializers.items()
        if not isinstance(array, TensorProto)
    ]
    given = helper.make_tensor_value_info(graph.input_names[0], TensorProto.FLOAT, list(example.shape))
    outputs = [onnx.ValueInfoProto(name=name) for name in graph.outputs]
    built = helper.make_model(
        helper.make_graph(nodes, "module", [given], outputs, constants),
        opset_imports=[helper.make_opsetid("", graph.opset)],
        ir_version=8,
    )
    session = onnxruntime.InferenceSession(built.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(each) for each in session.run(None, {graph.input_names[0]: example.numpy()})]


def graph_and_results(module: nn.Module, example: Tensor) -> tuple[Graph, list[Tensor]]:
    """Return the graph of a module, and the results of the module in evaluation mode."""
    graph = graph_of(exported_in_evaluation(module, example))
    with torch.no_grad():
        found = module.eval()(example)
    return graph, [found] if isinstance(found, Tensor) else list(found)
