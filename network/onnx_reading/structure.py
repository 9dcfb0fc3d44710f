"""Conversion of a file's structure to the form that the reader knows: functions inlined, old opsets converted.

Both conversions are those of the onnx library. They get the graph without its large constants, which become graph
inputs for that time: what they read and write is then in proportion to the graph, not to the weights. The library's
checker rejects graphs that contradict the ONNX standard before the converter, which is written in C++, sees them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Final

import onnx
import onnx.inliner
import onnx.shape_inference
import onnx.version_converter
from onnx import AttributeProto, TensorProto

from network.errors import InvalidNetwork, UnreadableFile, UnsupportedOperator
from network.network import MAX_LAYERS

OLDEST_OPSET: Final = 6
"""Oldest accepted version of the standard ONNX operators."""

OLDEST_DIRECT_OPSET: Final = 11
"""Oldest version that the reader reads without a conversion; older files are converted to it."""

NEWEST_OPSET: Final = onnx.defs.onnx_opset_version()
"""Newest accepted version of the standard ONNX operators: the newest that the onnx library knows."""

STANDARD_DOMAINS: Final = frozenset({"", "ai.onnx"})
"""Names of the domain of the standard ONNX operators."""

_IR_WITH_SEPARATE_INITIALIZERS: Final = 4
"""First version of the file format in which an initializer need not be a graph input too."""

_FIRST_BROADCASTING_OPSET: Final = 7
"""First opset in which operands broadcast without attributes."""

_MAX_KEPT_BYTES: Final = 1024
"""Size above which an initializer is left out of the structure; the converter needs shapes, axes and bounds only."""

_MAX_INLINED_BYTES: Final = 16 * 2**20
"""Largest total size of the bodies of all function calls after inlining."""

_LIBRARY_ERRORS: Final = (
    RuntimeError, ValueError, TypeError, IndexError, onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError, onnx.version_converter.ConvertError,
)  # fmt: skip
"""Errors that the onnx library raises for models that it rejects."""

_RE_EXPORT: Final = (
    "export the network again with opset 18 (torch.onnx.export(..., opset_version=18); "
    "python -m tf2onnx.convert --opset 18)"
)


def standard_opset(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators that a file uses.

    Raises:
        UnreadableFile: If the file does not state the version.
        UnsupportedOperator: If the version is not accepted.
    """
    versions = [entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS]
    if not versions:
        raise UnreadableFile(
            "the file does not state its opset: it is not a valid ONNX model, or is truncated; expected the whole file "
            "as the exporter wrote it"
        )
    if not OLDEST_OPSET <= versions[0] <= NEWEST_OPSET:
        raise UnsupportedOperator(
            f"the file uses opset {versions[0]}; expected opset {OLDEST_OPSET} to {NEWEST_OPSET}: {_RE_EXPORT}"
        )
    return int(versions[0])


def with_known_structure(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its functions inlined and, if its opset is older than 11, converted to opset 11.

    Args:
        model: The model, whose names are printable text. It is not changed.

    Raises:
        UnreadableFile: If the file does not state its opset.
        UnsupportedOperator: If the opset is not accepted, if the onnx library cannot convert the model, or if inlining
            would enlarge the model too much.
        InvalidNetwork: If functions call each other in a cycle.
    """
    opset = standard_opset(model)
    if not model.functions and opset >= OLDEST_DIRECT_OPSET:
        return model
    structure, left_out = _without_large_constants(model)
    if model.functions:
        structure = _inlined(structure)
    if opset < OLDEST_DIRECT_OPSET:
        structure = _converted(structure, opset)
    return _with_constants(structure, model, left_out)


def _without_large_constants(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, TensorProto]]:
    """Return a copy of the model with its large initializers as graph inputs, and these initializers by name."""
    left_out = {tensor.name: tensor for tensor in model.graph.initializer if tensor.ByteSize() > _MAX_KEPT_BYTES}
    kept = [tensor for tensor in model.graph.initializer if tensor.name not in left_out]
    graph = onnx.GraphProto(name=model.graph.name, node=model.graph.node, output=model.graph.output, initializer=kept)
    names = {tensor.name for tensor in model.graph.initializer}
    graph.input.extend(value for value in model.graph.input if value.name not in names)
    if model.ir_version < _IR_WITH_SEPARATE_INITIALIZERS:
        graph.input.extend(_value_info(tensor) for tensor in kept)
    graph.input.extend(map(_value_info, left_out.values()))
    structure = onnx.ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions, graph=graph
    )
    return structure, left_out


def _value_info(tensor: TensorProto) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)


def _with_constants(
    structure: onnx.ModelProto, model: onnx.ModelProto, left_out: dict[str, TensorProto]
) -> onnx.ModelProto:
    """Return the converted structure with the large initializers, and with the graph inputs and outputs of the file."""
    graph = structure.graph
    graph.initializer.extend(left_out.values())
    for values, original in ((graph.input, model.graph.input), (graph.output, model.graph.output)):
        del values[:]
        values.extend(original)
    return structure


def _inlined(structure: onnx.ModelProto) -> onnx.ModelProto:
    _refuse_large_expansion(structure)
    try:
        return onnx.inliner.inline_local_functions(structure)
    except _LIBRARY_ERRORS as error:
        raise UnsupportedOperator(
            f"the file defines the function '{structure.functions[0].name[:80]}', which the onnx library cannot inline "
            f"({_first_line(error)}); expected standard operators: export the network with functions inlined"
        ) from error


def _refuse_large_expansion(structure: onnx.ModelProto) -> None:
    """Reject functions whose calls expand to too much, before they are expanded.

    Raises:
        InvalidNetwork: If functions call each other in a cycle.
        UnsupportedOperator: If the bodies of all calls together are larger than 16 MiB.
    """
    functions = {(function.domain, function.name): function for function in structure.functions}
    calls = {
        key: Counter(call for call in _called(function.node) if call in functions)
        for key, function in functions.items()
    }
    try:
        order = tuple(TopologicalSorter({key: tuple(called) for key, called in calls.items()}).static_order())
    except CycleError as error:
        names = ", ".join(f"'{name[:80]}'" for _, name in error.args[1][:5])
        raise InvalidNetwork(
            f"the functions {names} of the file call each other in a cycle; expected functions without recursion"
        ) from None
    expanded: dict[tuple[str, str], int] = {}
    for key in order:
        inner = sum(count * expanded[called] for called, count in calls[key].items())
        expanded[key] = functions[key].ByteSize() + inner
    total = sum(expanded.get(call, 0) for call in _called(structure.graph.node))
    if total > _MAX_INLINED_BYTES:
        raise UnsupportedOperator(
            f"the functions of the file expand to {total} bytes; expected at most {_MAX_INLINED_BYTES}: "
            "export the network with functions inlined"
        )


def _called(nodes: Iterable[onnx.NodeProto]) -> Iterator[tuple[str, str]]:
    """Yield domain and name of the operator of each node, including the nodes of subgraphs."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield node.domain, node.op_type
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                pending.extend(attribute.g.node)
            elif attribute.type == AttributeProto.GRAPHS:
                pending.extend(inner for graph in attribute.graphs for inner in graph.node)


def _converted(structure: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Convert a structure to opset 11 by the onnx library.

    Raises:
        UnsupportedOperator: If the library's checker or converter rejects the structure.
    """
    if len(structure.graph.node) > MAX_LAYERS:
        raise InvalidNetwork(f"the network has {len(structure.graph.node)} nodes; expected at most {MAX_LAYERS}")
    if opset < _FIRST_BROADCASTING_OPSET:
        _fix_open_extents(structure)
    try:
        # The checker needs the shapes of the outputs, the converter those of tensors that opset 6 adds or multiplies.
        inferred = onnx.shape_inference.infer_shapes(structure)
        onnx.checker.check_model(inferred)
        return onnx.version_converter.convert_version(inferred, OLDEST_DIRECT_OPSET)
    except _LIBRARY_ERRORS as error:
        raise UnsupportedOperator(
            f"the file uses opset {opset}, and the onnx library cannot convert it to opset {OLDEST_DIRECT_OPSET} "
            f"({_first_line(error)}); expected opset {OLDEST_DIRECT_OPSET} to {NEWEST_OPSET}, or an older file that "
            f"can be converted: {_RE_EXPORT}"
        ) from error


def _fix_open_extents(structure: onnx.ModelProto) -> None:
    """Give open extents, usually the batch, the value 1: the converter compares the shapes of two operands by it."""
    for value in structure.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.dim_value = 1


def _first_line(error: Exception) -> str:
    """Return the first line of a library's message, shortened, in printable text."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "".join(letter if letter.isprintable() else "?" for letter in lines[0])[:200]
