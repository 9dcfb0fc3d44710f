"""Translation of a host graph to C: from the codes of the output tensors to the outputs of the source file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

from deploy.host_c.operators import FORMS
from deploy.host_c.views import INDENT, Kind, View, in_order
from deploy.host_c.writer import NoForm, Writer, real_number
from deploy.host_expressions import plain_attribute
from deploy.host_step import HostStep, NoLine
from deploy.integer_network import IntegerNetwork, IntegerTensor
from network.host_graph import HostGraph, HostRead
from network.host_model import parsed_host_model
from network.host_steps import HostSteps

_DAMAGED: Final = (NoForm, NoLine, LookupError, ValueError, TypeError, ArithmeticError)
"""Errors that a damaged model of an untrusted description causes, beside forms that C does not compute."""


@dataclass(frozen=True, slots=True)
class HostOutput:
    """A value that `NAME_finish` leaves in the caller's structure.

    Attributes:
        member: Name of the member of the structure.
        name: Name of the value in the source file.
        kind: Type of the elements.
        dims: Extents in the source file.
        is_final: Whether it is an output of the file; else a value for the rest of the computation.
    """

    member: str
    name: str
    kind: Kind
    dims: tuple[int, ...]
    is_final: bool


@dataclass(frozen=True, eq=False)
class After:
    """Computation behind the network in C.

    Attributes:
        lines: Lines of the function body, with one level of indentation.
        constants: Definitions of constant arrays.
        members: Type and number of elements of each array of the caller's structure, by its name.
        outputs: Values for the caller.
        missing: What is not computed, as text for comments: operators and the outputs that need them.
        needs_samples: Whether the computation reads the samples, too.
    """

    lines: tuple[str, ...]
    constants: tuple[str, ...]
    members: Mapping[str, tuple[Kind, int]]
    outputs: tuple[HostOutput, ...]
    missing: tuple[str, ...]
    needs_samples: bool


def after_in_c(network: IntegerNetwork, graph: HostGraph | None, steps: Sequence[HostSteps]) -> After:
    """Translate the host's work behind a network to C.

    Args:
        network: The integer-only network.
        graph: Host graph of the network from which the integer-only network was made; None if it is not known.
        steps: What the host computes, for a comment if the graph is not known.
    """
    translation = _Translation(network)
    model = parsed_host_model(graph.model) if graph is not None else None
    names = {read.value for read in graph.reads} if graph is not None else set()
    if graph is None or model is None or not {each.name for each in model.graph.input} <= names:
        for name in network.outputs:
            shape = network.tensors[name].shape
            translation.views[name] = translation.real(name).reshaped((shape.height, shape.width, shape.channels))
        missing = tuple(f"{each} -> {each.output}" for each in steps)
        return translation.finished(network.outputs, missing)
    for read in graph.reads:
        translation.read(read)
    missing_operators: dict[str, None] = {}
    rest: list[str] = []
    for node in model.graph.node:
        if not translation.add(node, model):
            missing_operators[str(node.op_type)] = None  # bytes in a damaged model
            rest += node.input
    wanted = [name for name in graph.outputs if name in translation.views]
    lost = [name for name in graph.outputs if name not in translation.views]
    frontier = [name for name in dict.fromkeys(rest) if translation.is_computed(name) and name not in wanted]
    missing = tuple(f"{', '.join(missing_operators)} -> {name}" for name in lost)
    return translation.finished(wanted, missing, frontier if lost else ())


class _Translation:
    """State of the translation of one host graph.

    Args:
        network: The integer-only network.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self.writer = Writer()
        self.views: dict[str, View] = {}
        self._network = network
        self._reals: dict[str, View] = {}
        self._constants: dict[str, npt.NDArray[Any]] = {}
        self._needs_samples = False

    def is_computed(self, name: str) -> bool:
        """Return whether a value is known so far and not a constant of the file."""
        return name in self.views and name not in self._constants

    def real(self, name: str) -> View:
        """Return the real values of an output tensor of the network, in the order of the chip."""
        if name not in self._reals:
            index = self._network.outputs.index(name)
            tensor = self._network.tensors[name]
            view = self.writer.new(Kind.REAL, (tensor.shape.elements,), f"real_{index}")
            self.writer.lines += _reals_of_codes(tensor, f"codes_{index}", view)
            self._reals[name] = view
        return self._reals[name]

    def read(self, read: HostRead) -> None:
        """Add a value that is read from the network, or that is a sample of the caller."""
        if read.is_sample:
            self._needs_samples = True
            index = self._network.input_names.index(read.tensor)
            self.views[read.value] = View(f"sample_{index}", Kind.REAL, read.dims, in_order(read.dims))
            return
        shape = self._network.tensors[read.tensor].shape
        view = self.real(read.tensor).reshaped((shape.height, shape.width, shape.channels))
        if not read.channels_last:
            view = view.permuted((2, 0, 1))
            if shape.channels == 1 or shape.height * shape.width == 1:
                view = view.reshaped(view.shape)
        self.views[read.value] = self.writer.reshaped(view, read.dims)

    def add(self, node: NodeProto, model: onnx.ModelProto) -> bool:
        """Append the C of a node; return whether there is one."""
        start = len(self.writer.lines)
        try:
            self._append(node, model)
        except _DAMAGED:
            del self.writer.lines[start:]
            return False
        if len(self.writer.lines) > start:
            self.writer.lines.insert(start, f"/* {node.op_type} */")
        return True

    def _append(self, node: NodeProto, model: onnx.ModelProto) -> None:
        form = None if node.domain else FORMS.get(node.op_type)
        if form is None:
            raise NoForm
        if not self._constants:
            self._constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
        constants = tuple(self._constants.get(name) for name in node.input)
        attributes = {each.name: plain_attribute(helper.get_attribute_value(each)) for each in node.attribute}
        opset = next((each.version for each in model.opset_import if not each.domain), 0)
        step = HostStep(tuple(node.input), constants, attributes, opset, len(node.output))
        views = form(self.writer, step, self._inputs(node, step))
        if len(views) < len(node.output):
            raise NoForm
        self.views |= {name: view for name, view in zip(node.output, views, strict=False) if name}

    def _inputs(self, node: NodeProto, step: HostStep) -> tuple[View, ...]:
        """Return the views of the inputs that are arrays; lists of axes and extents are read from the step."""
        structural = _STRUCTURAL.get(node.op_type, 0)
        names = [name for index, name in enumerate(node.input) if name and not (structural and index >= structural)]
        for name in names:
            if name not in self.views and name in self._constants:
                self.views[name] = self.writer.constant(self._constants[name])
        return tuple(self.views[name] for name in names)

    def finished(self, outputs: Sequence[str], missing: tuple[str, ...], frontier: Sequence[str] = ()) -> After:
        """Return the computation, with each value for the caller in an array of its own.

        Args:
            outputs: Names of the outputs of the file that are computed.
            missing: What is not computed.
            frontier: Names of further values for the caller.
        """
        renamed: dict[str, str] = {}
        found = []
        for index, name in enumerate([*outputs, *frontier]):
            view = self.views[name]
            member = view.array.removeprefix("values->")
            is_whole = view.is_in_order and self.writer.arrays.get(member, (None, 0))[1] == view.elements
            if not is_whole or member in renamed:
                view = self.writer.copied(view)
                member = view.array.removeprefix("values->")
            is_final = index < len(outputs)
            renamed[member] = f"output_{index}" if is_final else f"given_{index - len(outputs)}"
            found.append(HostOutput(renamed[member], name, view.kind, view.shape, is_final))
        text = re.sub(
            r"values->(\w+)", lambda each: f"values->{renamed.get(each[1], each[1])}", "\n".join(self.writer.lines)
        )
        used = set(re.findall(r"values->(\w+)", text))
        members = {renamed.get(name, name): array for name, array in self.writer.arrays.items()}
        return After(
            tuple(f"{INDENT}{line}" for line in text.splitlines()),
            tuple(each for each in self.writer.constants if re.search(rf"\b{_name_of(each)}\b", text)),
            {name: array for name, array in sorted(members.items()) if name in used},
            tuple(found),
            missing,
            self._needs_samples,
        )


_STRUCTURAL: Final = {
    "Reshape": 1, "Squeeze": 1, "Unsqueeze": 1, "Split": 1, "Slice": 1, "Expand": 1, "TopK": 1, "ReduceMax": 1,
    "ReduceMean": 1, "ReduceMin": 1, "ReduceSum": 1, "Dropout": 1,
}  # fmt: skip
"""Number of inputs that are arrays, for operators whose further inputs are axes, extents and the like."""


def _name_of(definition: str) -> str:
    found = re.search(r"(c\d+)\[", definition)
    assert found is not None  # noqa: S101  # the writer made it
    return found[1]


def _reals_of_codes(tensor: IntegerTensor, codes: str, target: View) -> list[str]:
    """Return the lines that convert the packed codes of a tensor to real values."""
    shape, zero_point, scale = tensor.shape, tensor.zero_point, real_number(tensor.scale)
    array = target.array
    if tensor.bits == 8:  # a code is a byte
        return [
            f"for (int32_t i = 0; i < {shape.elements}; ++i) {{",
            f"{INDENT}{array}[i] = (float)((int32_t){codes}[i] - {zero_point}) * {scale};",
            "}",
        ]
    pixel_bytes = -(-shape.channels * tensor.bits // 8)
    return [
        f"for (int32_t pixel = 0; pixel < {shape.height * shape.width}; ++pixel) {{",
        f"{INDENT}for (int32_t channel = 0; channel < {shape.channels}; ++channel) {{",
        f"{INDENT * 2}const uint32_t byte = {codes}[pixel * {pixel_bytes} + channel * {tensor.bits} / 8];",
        f"{INDENT * 2}const int32_t code = (int32_t)(byte >> (channel * {tensor.bits} % 8) & {2**tensor.bits - 1}u);",
        f"{INDENT * 2}{array}[pixel * {shape.channels} + channel] = (float)(code - {zero_point}) * {scale};",
        f"{INDENT}}}",
        "}",
    ]
