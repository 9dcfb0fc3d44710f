"""Parser of the TFLite file format: from bytes to a graph of plain Python data.

Nothing in a file is trusted. Every offset, index and length is checked against the file before it is used; a vector
that several tables share counts once for each of them, and all together may not exceed a multiple of the file. The
schema package reads from the bytes without copies, and raises Python's own errors at an offset outside the file. They
are caught in `parse` alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import tflite

from network.errors import InvalidNetwork, UnreadableFile
from network.names import shown
from network.network import MAX_LAYERS
from network.tflite_reading.graph import Attribute, Graph, Node, Quantization, Tensor
from network.tflite_reading.options import OPTIONS

_MAX_RANK: Final = 8
_VERSION: Final = 3
_CUSTOM: Final = "CUSTOM"
_NO_TENSOR: Final = -1

_MAX_READ_PER_BYTE: Final = 4
"""Largest number of elements of vectors and characters of names that are read per byte of the file."""

_ALWAYS_READ: Final = 2**20
"""Number of elements and characters that are read whatever the size of the file."""

_DAMAGES: Final = (struct.error, IndexError, TypeError, ValueError, OverflowError, AttributeError)
"""Errors of the schema package where an offset or a length does not belong to the file."""


def _names(enumeration: type) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}


_OPERATOR_NAMES: Final = _names(tflite.BuiltinOperator)
_TYPE_NAMES: Final = _names(tflite.TensorType)


class _Damaged(Exception):
    """A part of the file that contradicts another part."""


def parse(content: bytes) -> Graph:
    """Parse the bytes of a TFLite file into its main subgraph.

    Args:
        content: Bytes of the whole file.

    Raises:
        UnreadableFile: If an offset, a length or an index does not belong to the file.
        InvalidNetwork: If the file has no operator, or more than 200,000.
    """
    try:
        return _Parser(content).graph()
    except _Damaged as damage:
        raise _incomplete(str(damage)) from None
    except _DAMAGES:
        raise _incomplete("an offset or a length in it points outside the file") from None


def _incomplete(reason: str) -> UnreadableFile:
    return UnreadableFile(
        f"the file is not a complete TFLite file: {reason}; expected the whole file as the converter wrote it: "
        "copy or convert it again"
    )


@dataclass(eq=False)
class _Parser:
    """Access to the tables of one file, with a limit on all that is read.

    Attributes:
        content: Bytes of the whole file.
        elements_read: Number of elements of vectors and characters of names that were read so far.
    """

    content: bytes
    elements_read: int = 0

    def graph(self) -> Graph:
        """Return the main subgraph, with the tensors that it uses."""
        model = tflite.Model.GetRootAs(self.content, 0)
        if model.Version() != _VERSION:
            raise _Damaged(f"it says version {model.Version()} of the format instead of {_VERSION}")
        if model.SubgraphsLength() < 1:
            raise _Damaged("it has no subgraph")
        subgraph = model.Subgraphs(0)
        count = subgraph.OperatorsLength()
        if not 1 <= count <= MAX_LAYERS:
            raise InvalidNetwork(f"the file has {count} operators; expected 1 to {MAX_LAYERS}")
        operators = self._operator_names(model)
        nodes = tuple(self._node(subgraph.Operators(index), operators) for index in range(count))
        inputs, outputs = self._indices(subgraph.InputsAsNumpy()), self._indices(subgraph.OutputsAsNumpy())
        used = {index for node in nodes for index in (*node.inputs, *node.outputs)} | {*inputs, *outputs}
        tensors_in_file = subgraph.TensorsLength()
        for index in used - {_NO_TENSOR}:
            if not 0 <= index < tensors_in_file:
                raise _Damaged(f"it refers to tensor {index} of {tensors_in_file}")
        tensors = {index: self._tensor(model, subgraph.Tensors(index)) for index in sorted(used - {_NO_TENSOR})}
        return Graph(tensors, nodes, inputs, outputs, len(self.content))

    def _operator_names(self, model: Any) -> list[str]:
        names = []
        for index in range(model.OperatorCodesLength()):
            self._charge(1)
            code = model.OperatorCodes(index)
            # Files from before 2020 have the number in the older field of one byte alone.
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            name = _OPERATOR_NAMES.get(number, f"operator number {number}")
            if name == _CUSTOM:
                name = f"custom operator '{shown(self._text(code.CustomCode()))}'"
            names.append(name)
        return names

    def _node(self, operator: Any, names: list[str]) -> Node:
        code = operator.OpcodeIndex()
        if code >= len(names):
            raise _Damaged(f"it refers to operator code {code} of {len(names)}")
        name = names[code]
        inputs, outputs = self._indices(operator.InputsAsNumpy()), self._indices(operator.OutputsAsNumpy())
        return Node(name, inputs, outputs, self._attributes(operator, name))

    def _tensor(self, model: Any, tensor: Any) -> Tensor:
        dims = self._dims(tensor.ShapeAsNumpy())
        signature = self._dims(tensor.ShapeSignatureAsNumpy())
        number = tensor.Type()
        problem = ""
        open_axes: tuple[int, ...] = ()
        if any(extent < 0 for extent in (*dims, *signature[1:])):
            problem = f"has an open dimension ({list(signature or dims)}); expected fixed extents behind the batch"
            open_axes = tuple(axis for axis in range(len(dims)) if min(dims[axis], *signature[axis : axis + 1], 0) < 0)
        elif tensor.Sparsity() is not None:
            problem = "is stored sparsely; expected dense tensors: convert without sparsity"
        buffer = tensor.Buffer()
        if buffer >= model.BuffersLength():
            raise _Damaged(f"it refers to buffer {buffer} of {model.BuffersLength()}")
        block = model.Buffers(buffer)
        if block.Offset() > 1:
            problem = "is stored behind the flatbuffer, as in files above 2 GB; expected data inside it"
        data = block.DataAsNumpy() if block.DataLength() else None
        return Tensor(
            name=self._text(tensor.Name()),
            dims=dims,
            kind=_TYPE_NAMES.get(number, f"number {number}"),
            quantization=self._quantization(tensor.Quantization()),
            data=data,
            problem=problem,
            buffer=buffer,
            open_axes=tuple(axis for axis in open_axes if axis > 0),
        )

    def _quantization(self, quantization: Any) -> Quantization | None:
        if quantization is None or not quantization.ScaleLength():
            return None
        scales, zero_points = quantization.ScaleAsNumpy(), quantization.ZeroPointAsNumpy()
        if not quantization.ZeroPointLength():
            zero_points = np.zeros(1, dtype=np.int64)
        self._charge(len(scales) + len(zero_points))
        if len(zero_points) not in (1, len(scales)):
            raise _Damaged(f"a tensor has {len(scales)} scales and {len(zero_points)} zero points")
        if not np.isfinite(scales).all() or (scales < 0).any():
            raise _Damaged("a tensor has a scale that is negative, infinite or NaN")
        return Quantization(scales, zero_points, quantization.QuantizedDimension())

    def _dims(self, vector: npt.NDArray[np.int32] | int) -> tuple[int, ...]:
        dims = self._indices(vector)
        if len(dims) > _MAX_RANK:
            raise _Damaged(f"a tensor has {len(dims)} dimensions; at most {_MAX_RANK} are possible")
        return dims

    def _indices(self, vector: npt.NDArray[np.int32] | int) -> tuple[int, ...]:
        """Return a vector of whole numbers; the schema package gives 0 for a vector that is left out."""
        if isinstance(vector, int):
            return ()
        self._charge(len(vector))
        return tuple(vector.tolist())

    def _text(self, text: bytes | None) -> str:
        self._charge(len(text or b""))
        return (text or b"").decode(errors="replace")

    def _charge(self, elements: int) -> None:
        self.elements_read += elements
        if self.elements_read > _MAX_READ_PER_BYTE * len(self.content) + _ALWAYS_READ:
            raise _Damaged("its tables share data so often that it describes much more than it contains")

    def _attributes(self, operator: Any, name: str) -> dict[str, Attribute]:
        """Return the options of an operator that the reader evaluates; none if the file leaves them out."""
        expected = OPTIONS.get(name)
        union = operator.BuiltinOptions()
        if expected is None or union is None:
            return {}
        if operator.BuiltinOptionsType() != expected.number:
            raise _Damaged(f"an operator {name} has the options of another operator")
        options = expected.table()
        options.Init(union.Bytes, union.Pos)
        attributes: dict[str, Attribute] = {field: getattr(options, field)() for field in expected.fields}
        for field in expected.lists:
            attributes[field] = self._indices(getattr(options, f"{field}AsNumpy")())
        return attributes
