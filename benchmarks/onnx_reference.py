"""onnxruntime as the reference for what an ONNX file computes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
from onnx import TensorProto, helper, numpy_helper

from benchmarks.reference import Array, IncomparableFile
from network.joined_samples import joined
from network.network import Network
from network.onnx_reading.quantized.names import FOREIGN_OPERATORS

_QUANTIZED: Final = FOREIGN_OPERATORS | {
    "ConvInteger", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul",
}  # fmt: skip
_VIEWS: Final = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


class OnnxReference:
    """onnxruntime on one ONNX model, without graph optimization.

    Args:
        model: The model; its graph gets the outputs of the network as further outputs.
        input_names: Names of the inputs that are not constants. Samples of several inputs are joined in this order.

    Raises:
        IncomparableFile: If the model lacks one of these inputs.
    """

    def __init__(self, model: onnx.ModelProto, input_names: Sequence[str]) -> None:
        self._model = model
        inputs = {value.name: value for value in model.graph.input}
        missing = [name for name in input_names if name not in inputs]
        if missing:
            raise IncomparableFile(f"the file has no input '{missing[0][:80]}'")
        self._inputs = [inputs[name] for name in input_names]
        self._constants = {each.name: each for each in model.graph.initializer}
        self._sessions: dict[tuple[str, ...], Any] = {}

    @cached_property
    def is_quantized(self) -> bool:
        """Whether a node of the model quantizes, dequantizes or computes with codes."""
        return any(node.op_type in _QUANTIZED for node in self._model.graph.node)

    def samples(self, count: int, *, seed: int = 0) -> list[npt.NDArray[np.float32]]:
        """Draw random samples, each in the shape of the model's input with a batch of 1, or [1, elements] joined.

        The samples are uniform over the range of an input's codes if the model quantizes the input by a constant
        scale; else they are normal.

        Raises:
            IncomparableFile: If an input of the model is not float32.
        """
        rng = np.random.default_rng(seed)
        samples = [[self._sample(value, rng) for value in self._inputs] for _ in range(count)]
        return [parts[0] if len(parts) == 1 else joined([part.reshape(1, -1) for part in parts]) for parts in samples]

    def _sample(self, value: onnx.ValueInfoProto, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        kind = value.type.tensor_type.elem_type
        if kind != TensorProto.FLOAT:
            raise IncomparableFile(f"its input has the type {TensorProto.DataType.Name(kind)}, not FLOAT")
        interval = self._input_range(value.name)
        drawn = rng.normal(size=_dims(value)) if interval is None else rng.uniform(*interval, size=_dims(value))
        return drawn.astype(np.float32)

    def outputs_of(self, sample: npt.NDArray[np.float32], network: Network) -> list[Array]:
        """Compute the tensors of the model at which a network ends, as real numbers, flattened.

        Args:
            sample: The sample, in the shape of the model's input or of the network's samples; joined, [1, elements], if
                there are several inputs.
            network: The network that was read from the model.

        Raises:
            IncomparableFile: If the model has no tensor of the name of an output of the network, or if onnxruntime
                cannot run the model.
        """
        written = {output for node in self._model.graph.node for output in node.output}
        for name in network.outputs:
            if name not in written:
                raise IncomparableFile(f"the file has no tensor '{name[:80]}'")
        given: dict[str, npt.NDArray[np.float32]] = {}
        rest = sample.reshape(-1)
        for value in self._inputs:
            elements = math.prod(_dims(value))
            given[value.name], rest = rest[:elements].reshape(_dims(value)), rest[elements:]
        try:
            found = self._session(network.outputs).run(list(network.outputs), given)
        except Exception as error:  # onnxruntime's errors have no base class of their own
            reason = " ".join(str(error).split())[:150]
            raise IncomparableFile(f"onnxruntime cannot run the file: {reason}") from None
        return [self._real_values(name, values) for name, values in zip(network.outputs, found, strict=True)]

    def _session(self, outputs: tuple[str, ...]) -> Any:
        if outputs not in self._sessions:
            model = onnx.ModelProto()
            model.CopyFrom(self._model)
            present = {value.name for value in model.graph.output}
            # without a type: it is that of the tensor, which may have codes
            model.graph.output.extend(
                helper.make_empty_tensor_value_info(name) for name in outputs if name not in present
            )
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.intra_op_num_threads = 1
            options.log_severity_level = 4
            self._sessions[outputs] = onnxruntime.InferenceSession(model.SerializeToString(), options)
        return self._sessions[outputs]

    def _real_values(self, name: str, values: npt.NDArray[Any]) -> Array:
        if values.dtype.kind == "f":
            return np.asarray(values, dtype=np.float64).ravel()
        for node in self._model.graph.node:
            if node.op_type in _QUANTIZED and name in node.input:
                position = list(node.input).index(name)  # its scale and its zero point come next
                scale, zero_point = (self._constant(each) for each in node.input[position + 1 : position + 3])
                if scale is not None and zero_point is not None:
                    reals = (values.astype(np.float64) - zero_point.astype(np.float64)) * scale
                    return np.asarray(reals, dtype=np.float64).ravel()
        raise IncomparableFile(f"the tensor '{name[:80]}' has codes without a constant scale")

    def _constant(self, name: str) -> npt.NDArray[Any] | None:
        return numpy_helper.to_array(self._constants[name]) if name in self._constants else None

    def _input_range(self, name: str) -> tuple[float, float] | None:
        """Return the lowest and the highest real number of the codes of an input of the model."""
        same = {name}
        for node in self._model.graph.node:
            if not node.input or node.input[0] not in same:
                continue
            if node.op_type in _VIEWS:
                same.update(node.output)
            elif node.op_type == "QuantizeLinear" and len(node.input) == 3:
                scale, zero_point = (self._constant(each) for each in node.input[1:])
                if scale is not None and zero_point is not None and scale.size == 1:
                    limits = np.iinfo(zero_point.dtype)
                    low, high = (
                        float(each - int(zero_point.item())) * scale.item() for each in (limits.min, limits.max)
                    )
                    return low, high
        return None


def _dims(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim)
