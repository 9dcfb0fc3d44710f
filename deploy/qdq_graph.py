"""Builder of the ONNX graph of an integer-only network: its nodes, its constants with their types, and unique names."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from deploy.arithmetic import CodeArray, pack_rows, top_code
from deploy.input_codes import HALF_TOLERANCE, distance_from_half, has_table
from deploy.integer_network import IntegerNetwork, IntegerTensor
from deploy.qdq_ranks import input_extents, is_transposed
from network.allocation import Bits
from network.errors import ConversionError
from network.network_input import InputFormat, NetworkInput

FOUR_BIT_VERSIONS: Final = (21, 10)
"""First versions of ONNX with 4-bit types: opset and IR version."""

TWO_BIT_VERSIONS: Final = (25, 13)
"""First versions of ONNX with 2-bit types: opset and IR version."""

_TYPES: Final[dict[Bits, int]] = {8: TensorProto.UINT8, 4: TensorProto.UINT4, 2: TensorProto.UINT2}

Float32Array = npt.NDArray[np.float32]


class QdqGraph:
    """ONNX graph under construction for an integer-only network; it starts with the network's quantized inputs.

    Args:
        network: The network whose tensors the graph computes.
        narrow_types: Whether 4-bit and 2-bit codes have the types uint4 and uint2 (see `deploy.qdq.onnx_bytes`).

    Attributes:
        real: The name of the ONNX value with the dequantized codes of each tensor, [n, channels, height, width].
    """

    def __init__(self, network: IntegerNetwork, *, narrow_types: bool) -> None:
        self.real: dict[str, str] = {}
        self._network = network
        self._narrow_types = narrow_types
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._codes_of: dict[str, list[tuple[CodeArray, str]]] = {}  # by owner: weight codes and their constant's name
        self._names = set(network.tensors)
        self._output_extents: dict[str, tuple[int, ...]] = {}
        for each in network.inputs:
            self.quantize(
                self._input_image(each, self._input(each)), each.name, self._fresh(f"{each.name} dequantized")
            )

    def _input(self, given: NetworkInput) -> str:
        """Return the name of an input's real values, with `HALF_TOLERANCE` steps added if bytes are near half codes.

        The addition makes a runtime round these bytes as the exact table does (`deploy.input_codes`).
        """
        tensor = self._network.tensors[given.name]
        if not has_table(given.format) or distance_from_half(given.format, tensor.scale) >= 2 * HALF_TOLERANCE:
            return tensor.name
        lift = np.array(float32_scale(tensor) * HALF_TOLERANCE, dtype=np.float32)
        return self.node("Add", [tensor.name, self.constant(f"{tensor.name} lift", lift)], f"{tensor.name} lifted")

    def quantize(self, value: str, tensor: str, real: str) -> None:
        """Add ONNX nodes that quantize real values to the codes of an activation tensor and dequantize these codes.

        Args:
            value: The name of the real values.
            tensor: The name of the tensor that gives scale, zero point and bits.
            real: The name of the dequantized values.
        """
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

    def _input_image(self, given: NetworkInput, value: str) -> str:
        """Return the name of an input as an image, [n, channels, height, width].

        Args:
            given: The input of the network.
            value: The name of the input's real values in the caller's layout.
        """
        name, shape = given.name, given.shape
        if input_extents(given) == tuple(shape):
            return value
        is_transposed_image = is_transposed(given)
        extents = (shape.height, shape.width, shape.channels) if is_transposed_image else tuple(shape)
        dims = self.constant(f"{name} dims", np.array([-1, *extents], dtype=np.int64))
        image = self.node("Reshape", [value, dims], f"{name} image")
        return (
            self.node("Transpose", [image], f"{name} channels first", perm=(0, 3, 1, 2))
            if is_transposed_image
            else image
        )

    def quantize_output(self, value: str, tensor: str, extents: tuple[int, ...]) -> None:
        """Add the nodes of `quantize` for an output of the network, and reshape its real values.

        Args:
            value: The name of the real values, [n, channels, height, width].
            tensor: The name of the tensor, which becomes the name of the reshaped values.
            extents: The extents of the reshaped values, without the batch.
        """
        self.quantize(value, tensor, self._fresh(f"{tensor} image"))
        dims = self.constant(f"{tensor} dims", np.array([-1, *extents], dtype=np.int64))
        name = self._fresh(f"{tensor} reshaped")
        self._nodes.append(helper.make_node("Reshape", [self.real[tensor], dims], [tensor], name=name))
        self._output_extents[tensor] = extents

    def weights(
        self, name: str, codes: CodeArray, zero_points: CodeArray, scales: Float32Array, bits: Bits, owner: str
    ) -> str:
        """Add weight codes to the ONNX graph, and their dequantization with one zero point and one scale for each
        output channel.

        Args:
            name: The name of the dequantized weights.
            codes: The weight codes, uint8 [output channels, input channels / groups, rows, columns].
            zero_points: The zero points, uint8 [output channels].
            scales: The scales, float32 [output channels].
            bits: Number of bits of each code: 8, 4 or 2.
            owner: Name of the layer that stores the weights. Layers with the same owner read one initializer, unless
                the codes of one of them are mirrored.

        Returns:
            The unique name that the graph gave to the dequantized weights.
        """
        stored: Bits = 4 if bits == 2 and not self._narrow_types else bits
        zero_point = self._codes(f"{name} zero point", zero_points, stored)
        return self._dequantized(name, self._weight_codes(f"{name} codes", codes, stored, owner), scales, zero_point)

    def _weight_codes(self, name: str, codes: CodeArray, bits: Bits, owner: str) -> str:
        """Add weight codes to the ONNX graph, unless a layer with the same owner has added the same codes already;
        return the name of the constant.
        """
        known = self._codes_of.setdefault(owner, [])
        for other, constant in known:
            if np.array_equal(codes, other):
                return constant
        known.append((codes, self._codes(name, codes, bits)))
        return known[-1][1]

    def bias(self, name: str, codes: npt.NDArray[np.int32], scales: Float32Array) -> str:
        """Add int32 biases [output channels] to the ONNX graph, and their dequantization with one scale each; return
        the name of the dequantized biases.
        """
        return self._dequantized(name, self.constant(f"{name} codes", codes), scales)

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add a constant to the ONNX graph; return the unique name of the constant."""
        proto = onnx.numpy_helper.from_array(values, self._fresh(name))
        self._constants.append(proto)
        return proto.name

    def node(self, operator: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node with one output to the ONNX graph; return the unique name that the node and its output have."""
        output = self._fresh(name)
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def content(self) -> bytes:
        """Return the content of the ONNX file; the outputs of the ONNX graph are the outputs of the integer-only
        network.
        """
        network = self._network
        graph = helper.make_graph(
            self._nodes,
            network.name,
            [_real_values(each.name, input_extents(each)) for each in network.inputs],
            [self._output(name) for name in network.outputs],
            self._constants,
        )
        opset, ir_version = TWO_BIT_VERSIONS if self._narrow_types else FOUR_BIT_VERSIONS
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version, producer_name="bitbudget"
        )
        helper.set_model_props(model, _sample_formats(network))
        with_shapes = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        content: bytes = with_shapes.SerializeToString(deterministic=True)
        return content

    def _output(self, tensor: str) -> onnx.ValueInfoProto:
        if tensor in self._output_extents:
            return _real_values(tensor, self._output_extents[tensor])
        return _real_values(self.real[tensor], tuple(self._network.tensors[tensor].shape))

    def _dequantized(self, name: str, codes: str, scales: Float32Array, zero_points: str | None = None) -> str:
        """Add a DequantizeLinear node with one scale for each output channel to the ONNX graph;
        return the node's name.
        """
        grid = [self.constant(f"{name} scale", scales), *([] if zero_points is None else [zero_points])]
        return self.node("DequantizeLinear", [codes, *grid], name, axis=0)

    def _codes(self, name: str, codes: CodeArray, bits: Bits) -> str:
        """Add integer codes to the ONNX graph as a constant of the ONNX type with that number of bits, packed in the
        order of `pack_rows`.
        """
        proto = TensorProto(
            name=self._fresh(name),
            data_type=_TYPES[bits],
            dims=codes.shape,
            raw_data=pack_rows(codes.reshape(1, -1), bits).tobytes(),
        )
        self._constants.append(proto)
        return proto.name

    def _fresh(self, name: str) -> str:
        """Return a unique name for a node or value of the ONNX graph: the given name, with as many primes (') as
        needed.
        """
        while name in self._names:
            name += "'"
        self._names.add(name)
        return name


def float32_scale(tensor: IntegerTensor) -> float:
    """Return the quantization scale of an activation tensor rounded to float32, the type in which an ONNX file stores
    it.

    Raises:
        ConversionError: if the scale is outside the range of float32.
    """
    if not np.finfo(np.float32).tiny <= tensor.scale <= np.finfo(np.float32).max:
        raise ConversionError(
            f"tensor '{tensor.name}' has the scale {tensor.scale}, which an ONNX file cannot hold; expected a "
            f"float32 number from {np.finfo(np.float32).tiny:.3g} to {np.finfo(np.float32).max:.3g}"
        )
    return float(np.float32(tensor.scale))


def _sample_formats(network: IntegerNetwork) -> dict[str, str]:
    """Return the metadata of the ONNX model: `input_format`, or `input_formats` by name if there are several inputs."""
    formats = {each.name: _sample_format(each.format) for each in network.inputs}
    if len(formats) == 1:
        return {"input_format": json.dumps(formats[network.only_input.name])}
    return {"input_formats": json.dumps(formats)}


def _sample_format(given: InputFormat) -> dict[str, Any]:
    sample_format: dict[str, Any] = {
        "sample_extents": list(given.dims),
        "channels_last": given.channels_last,
        "subtract": list(given.subtract),
        "multiply": list(given.multiply),
    }
    return sample_format | ({"samples_are_bytes": True} if given.samples_are_bytes else {})


def _real_values(name: str, extents: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *extents])
