"""Damaged copies of network files: bytes, offsets, shapes and counts, at random places.

bytes      any bytes are overwritten, inserted, removed or cut off
offsets    what leads from one part of a file to another: lengths of messages and names of values in ONNX,
           relative positions of tables in TFLite
shapes     extents of tensors, and numbers of attributes and options, such as strides
counts     numbers of nodes, inputs, attributes and elements
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnx
import tflite
from onnx import AttributeProto, TensorProto

Damage = Callable[[bytes, np.random.Generator], bytes]

EXTREMES: Final = (0, 1, -1, 2, 3, 127, 128, 2**16, 2**24, 2**31 - 1, -(2**31), 2**31, 2**32 - 1, 2**62, 2**63 - 1)


def one_of(rng: np.random.Generator, values: Any) -> Any:
    return values[int(rng.integers(0, len(values)))]


def damaged_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite, insert, remove or cut off bytes; half of the places are in the first or last 4,000 bytes."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        at = _place(len(changed), rng)
        kind = int(rng.integers(0, 8))
        if kind < 4:
            changed[at] = int(rng.integers(0, 256))
        elif kind == 4:
            changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 5:
            del changed[at : at + int(rng.integers(1, 9))]
        elif kind == 6:
            changed[at : at + 32] = bytes(32)
        else:
            changed[at : at + 4] = b"\xff\xff\xff\x7f"
        changed += bytes(max(0, 16 - len(changed)))
    if rng.integers(0, 10) == 0:
        del changed[int(rng.integers(16, len(changed) + 1)) :]
    return bytes(changed)


def _place(size: int, rng: np.random.Generator) -> int:
    """Return a place in a file of a size; tables are at the ends, and the rest are mostly weights."""
    near = min(size, 4000)
    ends = (int(rng.integers(0, size)), int(rng.integers(0, size)), int(rng.integers(0, near)))
    place: int = one_of(rng, (*ends, size - 1 - int(rng.integers(0, near))))
    return place


# ONNX


def onnx_offsets(content: bytes, rng: np.random.Generator) -> bytes:
    """Change lengths of messages in the bytes, or names by which nodes refer to values."""
    if rng.integers(0, 2):
        return _with_other_lengths(content, rng)
    model = onnx.load_from_string(content)
    nodes = model.graph.node
    names = [name for node in nodes for name in (*node.input, *node.output)] or ["x"]
    for _ in range(int(rng.integers(1, 5))):
        node = one_of(rng, nodes)
        values = node.output if rng.integers(0, 3) == 0 else node.input
        if values:
            values[int(rng.integers(0, len(values)))] = one_of(rng, [*names, "", "nowhere"])
    if rng.integers(0, 4) == 0:
        for _ in range(2):
            one_of(rng, model.graph.output).name = one_of(rng, names)
    if model.graph.initializer and rng.integers(0, 2):
        tensor = one_of(rng, model.graph.initializer)
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": "weights", "offset": one_of(rng, EXTREMES), "length": one_of(rng, EXTREMES)}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
    return _serialized(model)


def _with_other_lengths(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    tags = [at for at in range(len(changed) - 2) if changed[at] & 7 == 2 and changed[at] < 128]
    for _ in range(int(rng.integers(1, 4))):
        at = one_of(rng, tags) + 1
        if at < len(changed):
            length = one_of(rng, (0, changed[at] + 1, changed[at] - 1, 127, 2**14, 2**28, 2**31 - 1, 2**35))
            changed[at : at + 1] = _varint(max(length, 0))
    return bytes(changed)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])


def onnx_shapes(content: bytes, rng: np.random.Generator) -> bytes:
    """Change extents of inputs and initializers, element types, and numbers of attributes."""
    model = onnx.load_from_string(content)
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(0, 5))
        if kind == 4:
            _change_constant(model.graph, rng)
        elif kind == 0 and model.graph.initializer:
            tensor = one_of(rng, model.graph.initializer)
            if tensor.dims and rng.integers(0, 4):
                tensor.dims[int(rng.integers(0, len(tensor.dims)))] = _int64(one_of(rng, EXTREMES), rng)
            else:
                tensor.data_type = int(rng.integers(0, 24))
        elif kind == 1:
            value = one_of(rng, [*model.graph.input, *model.graph.output])
            dims = value.type.tensor_type.shape.dim
            if dims:
                one_of(rng, dims).dim_value = _int64(one_of(rng, EXTREMES), rng)
        else:
            _change_attribute(one_of(rng, model.graph.node), rng)
    return _serialized(model)


def _change_constant(graph: onnx.GraphProto, rng: np.random.Generator) -> None:
    """Change an element of a constant of whole numbers, such as the shape that a Reshape reads."""
    tensors = [*graph.initializer, *(each.t for node in graph.node for each in node.attribute if each.HasField("t"))]
    is_whole = (each for each in tensors if each.data_type == TensorProto.INT64)
    whole = [each for each in is_whole if len(each.raw_data) >= 8 or each.int64_data]
    if not whole:
        return
    tensor = one_of(rng, whole)
    number = _int64(one_of(rng, EXTREMES), rng)
    if tensor.raw_data:
        raw = bytearray(tensor.raw_data)
        struct.pack_into("<q", raw, 8 * int(rng.integers(0, len(raw) // 8)), number)
        tensor.raw_data = bytes(raw)
    else:
        tensor.int64_data[int(rng.integers(0, len(tensor.int64_data)))] = number


def _change_attribute(node: onnx.NodeProto, rng: np.random.Generator) -> None:
    if not node.attribute:
        return
    attribute = one_of(rng, node.attribute)
    number = _int64(one_of(rng, EXTREMES), rng)
    if attribute.ints:
        attribute.ints[int(rng.integers(0, len(attribute.ints)))] = number
    elif attribute.type == AttributeProto.INT:
        attribute.i = number
    elif attribute.type == AttributeProto.FLOAT:
        attribute.f = one_of(rng, (0.0, -1.0, float("nan"), float("inf"), 1e38))
    elif attribute.type == AttributeProto.TENSOR and attribute.t.dims:
        attribute.t.dims[0] = number
    else:
        attribute.type = int(rng.integers(0, 15))  # also numbers of no type


def _int64(number: int, rng: np.random.Generator) -> int:
    return int(number) if number else int(rng.integers(-20, 20))


def onnx_counts(content: bytes, rng: np.random.Generator) -> bytes:
    """Repeat or remove nodes, values, attributes and elements."""
    model = onnx.load_from_string(content)
    graph = model.graph
    for _ in range(int(rng.integers(1, 4))):
        node = one_of(rng, graph.node) if graph.node else graph.node.add()
        lists: list[Any] = [graph.node, graph.initializer, graph.input, graph.output]
        lists += [node.attribute, model.opset_import]
        texts: list[Any] = [node.input, node.output, *(each.ints for each in node.attribute)]
        many = one_of(rng, (1, 2, 30, 1000))
        if rng.integers(0, 2):
            values = one_of(rng, lists)
            if values and rng.integers(0, 2):
                del values[int(rng.integers(0, len(values)))]
            elif values:
                values.extend([one_of(rng, values)] * many)
        else:
            values = one_of(rng, texts)
            if values and rng.integers(0, 2):
                del values[int(rng.integers(0, len(values))) :]
            elif values:
                values.extend([one_of(rng, values)] * many)
        if graph.initializer and rng.integers(0, 3) == 0:
            tensor = one_of(rng, graph.initializer)
            tensor.raw_data = (tensor.raw_data * 2)[: int(rng.integers(0, 2 * len(tensor.raw_data) + 1))]
    return _serialized(model)


def _serialized(model: onnx.ModelProto) -> bytes:
    content: bytes = model.SerializeToString()
    return content


# TFLite


def tflite_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage any bytes, but keep the identifier, without which the file is not taken for TFLite."""
    changed = damaged_bytes(content, rng)
    return changed[:4] + b"TFL3" + changed[8:]


def tflite_offsets(content: bytes, rng: np.random.Generator) -> bytes:
    """Change words that can be relative positions: of tables, of vectors, and in virtual tables."""
    changed = bytearray(content)
    words = np.frombuffer(content[: len(content) // 4 * 4], "<i4")
    places = np.flatnonzero((np.abs(words) < len(content)) & (words != 0))
    for _ in range(int(rng.integers(1, 5))):
        at = 4 * int(one_of(rng, places[places != 1]))
        (word,) = struct.unpack_from("<i", changed, at)
        near = (word + 4, word - 4, word + int(rng.integers(-400, 400)))
        other = one_of(rng, (*near, -word, 0, 2**31 - 1, len(content)))
        struct.pack_into("<i", changed, at, other)
    return bytes(changed)


def tflite_shapes(content: bytes, rng: np.random.Generator) -> bytes:
    """Change extents of tensors, element types, and numbers of the operators' options."""
    changed = bytearray(content)
    model = tflite.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(0, 3))
        if kind == 0:
            small = [each for each in map(model.Buffers, range(model.BuffersLength())) if 0 < each.DataLength() <= 32]
            if small:  # the shape that a RESHAPE reads, the axes of a MEAN, the padding of a PAD
                _put(changed, _vector(one_of(rng, small)._tab, 0)[1], one_of(rng, EXTREMES))
            continue
        if kind == 1:
            table = graph.Tensors(int(rng.integers(0, graph.TensorsLength())))._tab
            length, start = _vector(table, 0)
            if length:
                _put(changed, start + 4 * int(rng.integers(0, length)), one_of(rng, EXTREMES))
            continue
        options = graph.Operators(int(rng.integers(0, graph.OperatorsLength()))).BuiltinOptions()
        fields = [] if options is None else [field for field in range(8) if options.Offset(4 + 2 * field)]
        if fields:
            at = options.Pos + options.Offset(4 + 2 * one_of(rng, fields))
            if rng.integers(0, 2):
                changed[at] = int(rng.integers(0, 256))
            else:
                _put(changed, at, one_of(rng, EXTREMES))
    return bytes(changed)


def tflite_counts(content: bytes, rng: np.random.Generator) -> bytes:
    """Change the lengths of vectors: of tables, of indices, of extents, of scales and of data."""
    changed = bytearray(content)
    model = tflite.Model.GetRootAs(content, 0)
    graph = model.Subgraphs(0)
    for _ in range(int(rng.integers(1, 4))):
        operator = graph.Operators(int(rng.integers(0, graph.OperatorsLength())))
        tensor = graph.Tensors(int(rng.integers(0, graph.TensorsLength())))
        buffer = model.Buffers(int(rng.integers(0, model.BuffersLength())))
        tables: list[tuple[Any, int]] = [(model._tab, field) for field in (1, 2, 4)]
        tables += [(graph._tab, field) for field in range(4)]
        tables += [(operator._tab, 1), (operator._tab, 2), (tensor._tab, 0), (tensor._tab, 3), (buffer._tab, 0)]
        if (quantization := tensor.Quantization()) is not None:
            tables += [(quantization._tab, field) for field in range(4)]
        table, field = one_of(rng, tables)
        length, start = _vector(table, field)
        if start:
            near = (length + 1, max(length - 1, 0), 2 * length, 1000)
            _put(changed, start - 4, one_of(rng, (*EXTREMES, *near)))
    return bytes(changed)


def _vector(table: Any, field: int) -> tuple[int, int]:
    """Return the length of a vector in a flatbuffers table, and the position of its first element; 0, 0 if missing."""
    offset = table.Offset(4 + 2 * field)
    return (table.VectorLen(offset), table.Vector(offset)) if offset else (0, 0)


def _put(content: bytearray, at: int, number: int) -> None:
    if at + 4 <= len(content):
        struct.pack_into("<I", content, at, int(number) % 2**32)


DAMAGES: Final[dict[str, dict[str, Damage]]] = {
    "onnx": {"bytes": damaged_bytes, "offsets": onnx_offsets, "shapes": onnx_shapes, "counts": onnx_counts},
    "tflite": {"bytes": tflite_bytes, "offsets": tflite_offsets, "shapes": tflite_shapes, "counts": tflite_counts},
}
"""Format -> kind of damage -> function that makes a damaged copy."""
