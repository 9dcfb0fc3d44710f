"""A module's program in core ATen operators, by `torch.export`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

from network.errors import InvalidNetwork, UnsupportedOperator

_NAMED_AS_WRITTEN: Final = frozenset({
    "celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "leaky_relu", "mish", "prelu", "rrelu", "selu",
    "silu", "softplus", "softshrink", "layer_norm", "group_norm", "instance_norm", "rms_norm", "upsample_nearest1d",
    "upsample_nearest2d", "upsample_bilinear2d", "lstm", "gru", "rnn_tanh", "rnn_relu", "scaled_dot_product_attention",
})  # fmt: skip
"""Not taken apart: none of them is read, and an error must name what the module says."""


@dataclass(frozen=True, eq=False)
class Exported:
    """A module's program.

    Attributes:
        nodes: in the order in which they run.
        input: the node that stands for the caller's tensor.
        input_dims: the extents of the example, with the batch.
        constants: parameters, buffers and constants, by the name of their node.
        outputs: the nodes that the caller reads.
    """

    nodes: tuple[fx.Node, ...]
    input: fx.Node
    input_dims: tuple[int, ...]
    constants: Mapping[str, Tensor]
    outputs: tuple[fx.Node, ...]


def exported_in_evaluation(module: nn.Module, example_input: Tensor) -> Exported:
    """The program that a module runs in evaluation; the module is left as it was.

    Raises:
        InvalidNetwork: torch.export cannot follow the module; it has other inputs or outputs than tensors.
        UnsupportedOperator: it keeps a state, or its input is no vector, sequence or image.
    """
    if not isinstance(module, nn.Module) or not isinstance(example_input, Tensor):
        raise InvalidNetwork(
            f"a {type(module).__name__} and a {type(example_input).__name__} were given; "
            "expected a torch.nn.Module and a tensor as its forward takes it"
        )
    dims = tuple(example_input.shape)
    if not 2 <= len(dims) <= 4 or min(dims) < 1:
        raise UnsupportedOperator(
            f"the example input has the dimensions {list(dims)}; expected 2 to 4: "
            "a batch of vectors, sequences or images"
        )
    with _in_evaluation(module):
        program = _program(module, example_input)
    return _taken(program, dims)


@contextmanager
def _in_evaluation(module: nn.Module) -> Iterator[None]:
    """Every part of the module in evaluation, for a while: parts may be in different modes."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _program(module: nn.Module, example_input: Tensor) -> ExportedProgram:
    table = torch.export.default_decompositions()
    for operator in list(table):
        name: str = operator.name()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        if name.partition("::")[2].partition(".")[0].rstrip("_") in _NAMED_AS_WRITTEN:
            del table[operator]
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # torch 2.13 copies objects of a class of its own that it calls deprecated.
            warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec", FutureWarning)
            program = torch.export.export(module, (example_input,))
            decomposed: ExportedProgram = program.run_decompositions(table)
            return decomposed
    except Exception as error:  # the module's own code runs here: it may raise anything
        first_line = str(error).strip().partition("\n")[0][:300]
        raise InvalidNetwork(
            f"torch.export cannot follow {type(module).__name__} on an input of shape {list(example_input.shape)}: "
            f"{type(error).__name__}: {first_line}; expected a forward that takes this tensor alone and whose course "
            "does not depend on the tensor's values"
        ) from error


def _taken(program: ExportedProgram, dims: tuple[int, ...]) -> Exported:
    nodes = {node.name: node for node in program.graph.nodes}
    constants: dict[str, Tensor] = {}
    inputs = []
    for given in program.graph_signature.input_specs:
        if given.kind is InputKind.USER_INPUT:
            inputs.append(nodes[given.arg.name])
        elif given.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            held: Any = program.state_dict.get(given.target, program.constants.get(given.target))
            if held.is_meta:
                raise InvalidNetwork(
                    f"the module's '{given.target}' has no data (device 'meta'); load its weights first"
                )
            constants[given.arg.name] = held.detach().cpu()
        else:
            raise UnsupportedOperator(f"the module holds '{given.target}', a {given.kind.name}; expected tensors alone")
    if len(inputs) != 1:
        raise InvalidNetwork(f"the module reads {len(inputs)} inputs; expected one tensor")
    (output,) = program.graph.find_nodes(op="output")
    outputs = []
    for spec, value in zip(program.graph_signature.output_specs, output.args[0], strict=True):
        if spec.kind is not OutputKind.USER_OUTPUT:
            raise UnsupportedOperator(
                f"the module changes '{spec.target}' while it runs; networks that keep a state are not read"
            )
        if not isinstance(value, fx.Node):
            raise InvalidNetwork(f"the module returns {str(value)[:60]!r} beside its tensors; expected tensors alone")
        outputs.append(value)
    return Exported(tuple(program.graph.nodes), inputs[0], dims, constants, tuple(outputs))
