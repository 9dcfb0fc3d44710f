"""Networks written as ONNX files, as a converter would: batch norm and activation functions as nodes of their own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from network.layers import Add, AveragePool, Convolution, FullyConnected, Layer, WeightLayer
from network.network import Network


def to_onnx(network: Network, *, opset: int = 17) -> bytes:
    """The network (of convolutions, adds, pools over the whole image, fully connected layers) as an ONNX file."""
    writer = _Writer(network)
    for layer in network.layers:
        writer.write(layer)
    (output,) = network.outputs
    graph = helper.make_graph(
        writer.nodes,
        network.name,
        [helper.make_tensor_value_info(network.only_input.name, TensorProto.FLOAT, ["N", *network.only_input.shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        writer.constants,
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


class _Writer:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def write(self, layer: Layer) -> None:
        tail = self._activation(layer)
        if isinstance(layer, WeightLayer):
            norm = "" if layer.batch_norm is None else f"{layer.name}_bn"
            linear = norm or tail
            self._weighted(layer, f"{layer.name}_linear" if linear else layer.output)
            if layer.batch_norm is not None:
                values = layer.batch_norm
                names = [
                    self._constant(f"{layer.name}.{what}", getattr(values, what))
                    for what in ("gamma", "beta", "mean", "variance")
                ]
                inputs = [f"{layer.name}_linear", *names]
                self._node("BatchNormalization", inputs, norm if tail else layer.output, epsilon=values.epsilon)
        elif isinstance(layer, Add):
            self._node("Add", list(layer.inputs), f"{layer.name}_sum" if tail else layer.output)
        elif isinstance(layer, AveragePool):
            self._node("GlobalAveragePool", list(layer.inputs), layer.output)
        else:
            raise TypeError(f"no ONNX form is written for {layer.kind}")
        if tail:
            low, high = layer.activation.low, layer.activation.high
            before = self.nodes[-1].output[0]
            if math.isinf(high):
                self._node("Relu", [before], layer.output)
            else:
                bounds = [self._constant(f"{layer.name}.{end}", np.float32(end)) for end in (low, high)]
                self._node("Clip", [before, *bounds], layer.output)

    def _activation(self, layer: Layer) -> bool:
        return not layer.activation.is_linear

    def _weighted(self, layer: WeightLayer, output: str) -> None:
        if layer.weight is None:
            raise TypeError(f"layer '{layer.name}' has no weights to write")
        inputs = [layer.inputs[0], self._constant(f"{layer.name}.weight", layer.weight)]
        if isinstance(layer, FullyConnected):
            flat = f"{layer.name}_flat"
            self._node("Flatten", [inputs[0]], flat, axis=1)
            inputs[0] = flat
        if layer.bias is not None:
            inputs.append(self._constant(f"{layer.name}.bias", layer.bias))
        if isinstance(layer, Convolution):
            top, left, bottom, right = layer.padding
            self._node(
                "Conv",
                inputs,
                output,
                name=layer.name,
                kernel_shape=list(layer.kernel),
                strides=list(layer.stride),
                dilations=list(layer.dilation),
                pads=[top, left, bottom, right],
                group=layer.groups,
            )
        else:
            self._node("Gemm", inputs, output, name=layer.name, transB=1)

    def _node(self, operator: str, inputs: list[str], output: str, name: str = "", **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name or output, **attributes))

    def _constant(self, name: str, values: object) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=np.float32), name))
        return name
