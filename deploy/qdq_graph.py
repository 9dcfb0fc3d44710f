"""The ONNX graph that `deploy.qdq` grows: its nodes, its constants and their types, and names that are taken once."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from deploy.arithmetic import CodeArray, pack_rows, top_code
from deploy.integer_network import IntegerNetwork, IntegerTensor
from network.allocation import Bits
from network.errors import ConversionError

FOUR_BIT_VERSIONS: Final = (21, 10)
"""Opset and IR version: the first that have 4-bit types."""

TWO_BIT_VERSIONS: Final = (25, 13)
"""Likewise of 2-bit types."""

_TYPES: Final[dict[Bits, int]] = {8: TensorProto.UINT8, 4: TensorProto.UINT4, 2: TensorProto.UINT2}

Float32Array = npt.NDArray[np.float32]


class QdqGraph:
    """Grows node by node; starts with the network's input, quantized.

    Args:
        network: whose tensors the values stand for.
        narrow_types: as `deploy.qdq.onnx_bytes` has it.

    Attributes:
        real: tensor -> the value that holds its dequantized codes, [n, channels, height, width].
    """

    def __init__(self, network: IntegerNetwork, *, narrow_types: bool) -> None:
        self.real: dict[str, str] = {}
        self._network = network
        self._narrow_types = narrow_types
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._names = set(network.tensors)
        self.quantize(network.input, network.input, self._fresh(f"{network.input} dequantized"))

    def quantize(self, value: str, tensor: str, real: str) -> None:
        """Real values to the nearest codes of a tensor, and back to real values under the name `real`."""
        meaning = self._network.tensors[tensor]
        scale = float32_scale(meaning)
        bits = meaning.bits
        if bits < 8 and not self._narrow_types:
            bits = 8
            ends = (-meaning.zero_point * scale, (top_code(meaning.bits) - meaning.zero_point) * scale)
            low, high = (
                self.constant(f"{tensor} {end}", np.array(at, dtype=np.float32))
                for end, at in zip(("lowest", "highest"), ends, strict=True)
            )
            value = self.node("Clip", [value, low, high], f"{tensor} clipped")
        grid = [
            self.constant(f"{tensor} scale", np.array(scale, dtype=np.float32)),
            self._codes(f"{tensor} zero point", np.array(meaning.zero_point, dtype=np.uint8), bits),
        ]
        codes = self.node("QuantizeLinear", [value, *grid], f"{tensor} codes")
        name = self._fresh(f"{tensor} to real")
        self._nodes.append(helper.make_node("DequantizeLinear", [codes, *grid], [real], name=name))
        self.real[tensor] = real

    def weights(self, name: str, codes: CodeArray, zero_points: CodeArray, scales: Float32Array, bits: Bits) -> str:
        """Dequantized weights, with a zero point and a scale for each output channel, the first extent."""
        stored: Bits = 4 if bits == 2 and not self._narrow_types else bits
        zero_point = self._codes(f"{name} zero point", zero_points, stored)
        return self._dequantized(name, self._codes(f"{name} codes", codes, stored), scales, zero_point)

    def bias(self, name: str, codes: npt.NDArray[np.int32], scales: Float32Array) -> str:
        """Dequantized int32 numbers, with a scale each."""
        return self._dequantized(name, self.constant(f"{name} codes", codes), scales)

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        proto = onnx.numpy_helper.from_array(values, self._fresh(name))
        self._constants.append(proto)
        return proto.name

    def node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """A node of one output, which has the node's name."""
        output = self._fresh(name)
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def content(self) -> bytes:
        """The file: the network's outputs are what the graph gives."""
        network = self._network
        graph = helper.make_graph(
            self._nodes,
            network.name,
            [_images(network.input, network.tensors[network.input])],
            [_images(self.real[name], network.tensors[name]) for name in network.outputs],
            self._constants,
        )
        opset, ir_version = TWO_BIT_VERSIONS if self._narrow_types else FOUR_BIT_VERSIONS
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version, producer_name="bitbudget"
        )
        given = network.input_format
        sample_format = {
            "sample_extents": list(given.dims),
            "channels_last": given.channels_last,
            "subtract": list(given.subtract),
            "multiply": list(given.multiply),
        }
        helper.set_model_props(model, {"input_format": json.dumps(sample_format)})
        with_shapes = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        content: bytes = with_shapes.SerializeToString(deterministic=True)
        return content

    def _dequantized(self, name: str, codes: str, scales: Float32Array, zero_points: str | None = None) -> str:
        """By output channel."""
        grid = [self.constant(f"{name} scale", scales), *([] if zero_points is None else [zero_points])]
        return self.node("DequantizeLinear", [codes, *grid], name, axis=0)

    def _codes(self, name: str, codes: CodeArray, bits: Bits) -> str:
        """A constant in the type of those bits; ONNX packs as we do, the first code in the least significant bits."""
        proto = TensorProto(
            name=self._fresh(name),
            data_type=_TYPES[bits],
            dims=codes.shape,
            raw_data=pack_rows(codes.reshape(1, -1), bits).tobytes(),
        )
        self._constants.append(proto)
        return proto.name

    def _fresh(self, name: str) -> str:
        """The name, with a prime for every time that it was taken."""
        while name in self._names:
            name += "'"
        self._names.add(name)
        return name


def float32_scale(tensor: IntegerTensor) -> float:
    """A tensor's scale as the file holds it.

    Raises:
        ConversionError: a float32 does not hold it.
    """
    if not np.finfo(np.float32).tiny <= tensor.scale <= np.finfo(np.float32).max:
        raise ConversionError(
            f"tensor '{tensor.name}' has the scale {tensor.scale}; an ONNX file holds float32 scales, between "
            f"{np.finfo(np.float32).tiny:.3g} and {np.finfo(np.float32).max:.3g}"
        )
    return float(np.float32(tensor.scale))


def _images(name: str, tensor: IntegerTensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *tensor.shape])
