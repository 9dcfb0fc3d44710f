"""The network of `mobilenetv2_shape` as an ONNX file (opset 17), with batch norm as nodes of their own.

The exporter of torch folds batch norm into the weights; the benchmarks need it, because it is trained further.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from benchmarks.mobilenetv2_shape import PIXEL_SCALE, ConvolutionUnit, MobileNetV2

_OPSET = 17


def onnx_of(module: MobileNetV2) -> bytes:
    """Return the network as the content of an ONNX file whose input `pixels` has values from 0 to 255."""
    writer = _Writer()
    trunk = writer.unit(module.stem, "pixels", weight_scale=PIXEL_SCALE)
    for block in module.blocks_in_order():
        inside = trunk
        for unit in block.units_in_order():
            inside = writer.unit(unit, inside)
        trunk = writer.node("Add", f"{block.name}_add", [trunk, inside]) if block.has_add else inside
    trunk = writer.unit(module.last, trunk)
    mean = writer.node("GlobalAveragePool", "mean", [trunk])
    flat = writer.node("Flatten", "flat", [mean], axis=1)
    weight = writer.constant("classes.weight", module.classes.weight)
    bias = writer.constant("classes.bias", module.classes.bias)
    output = writer.node("Gemm", "classes", [flat, weight, bias], transB=1)
    graph = helper.make_graph(
        writer.nodes,
        "mobilenetv2_cifar10",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, 32, 32])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", module.classes.out_features])],
        writer.constants,
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


class _Writer:
    """Nodes and constants of an ONNX graph; every node has the name of the tensor that it writes."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._clip_bounds: list[str] = []

    def unit(self, unit: ConvolutionUnit, source: str, *, weight_scale: float = 1.0) -> str:
        """Add the nodes of a convolution with batch norm, and return the name of their output."""
        name, convolution, norm = unit.name, unit.convolution, unit.batch_norm
        (height, width), (down, right) = convolution.kernel_size, convolution.stride
        sums = self.node(
            "Conv", name, [source, self.constant(f"{name}.weight", convolution.weight * weight_scale)],
            kernel_shape=[height, width], strides=[down, right], pads=[height // 2, width // 2] * 2,
            group=convolution.groups,
        )  # fmt: skip
        assert norm.running_mean is not None  # noqa: S101  # batch norm keeps statistics
        assert norm.running_var is not None  # noqa: S101
        values = {"gamma": norm.weight, "beta": norm.bias, "mean": norm.running_mean, "variance": norm.running_var}
        constants = [self.constant(f"{name}.{what}", value) for what, value in values.items()]
        normalised = self.node("BatchNormalization", f"{name}_norm", [sums, *constants], epsilon=norm.eps)
        return normalised if unit.is_linear else self.node("Clip", f"{name}_relu6", [normalised, *self._bounds()])

    def node(self, kind: str, name: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node, and return the name of its output, which is the node's own."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, value: Tensor | npt.NDArray[np.float32]) -> str:
        """Add a constant, and return its name."""
        array = value.detach().numpy() if isinstance(value, Tensor) else value
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), name))
        return name

    def _bounds(self) -> list[str]:
        if not self._clip_bounds:
            self._clip_bounds = [self.constant(f"relu6.{end}", np.array(end, dtype=np.float32)) for end in (0, 6)]
        return self._clip_bounds
