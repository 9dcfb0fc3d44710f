"""Export of a torch module to a program of core ATen operators, by `torch.export`."""

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

_NOT_DECOMPOSED: Final = frozenset({
    "celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "leaky_relu", "mish", "prelu", "rrelu", "selu",
    "silu", "softplus", "softshrink", "layer_norm", "group_norm", "instance_norm", "rms_norm", "upsample_nearest1d",
    "upsample_nearest2d", "upsample_bilinear2d", "lstm", "gru", "rnn_tanh", "rnn_relu", "scaled_dot_product_attention",
})  # fmt: skip
"""ATen operators that are not decomposed: none is supported, and the error must name the module's own operator."""


@dataclass(frozen=True, eq=False)
class Exported:
    """The program of core ATen operators to which `torch.export` exports a torch module.

    Attributes:
        nodes: All nodes, in the order in which they run.
        input: The node of the module's input tensor.
        input_dims: Shape of the example input, with the batch dimension.
        constants: Parameters, buffers and constant tensors, by the name of their node.
        outputs: The nodes whose results the module returns.
    """

    nodes: tuple[fx.Node, ...]
    input: fx.Node
    input_dims: tuple[int, ...]
    constants: Mapping[str, Tensor]
    outputs: tuple[fx.Node, ...]


def exported_in_evaluation(module: nn.Module, example_input: Tensor) -> Exported:
    """Export the program that a torch module runs in evaluation mode. The module is not changed.

    Args:
        module: The module; its forward has one tensor as its only argument.
        example_input: An input of the module, of 2 to 4 dimensions [n, ...].

    Raises:
        InvalidNetwork: if torch.export fails on the module, or the module's inputs or outputs are not tensors.
        UnsupportedOperator: if the module changes its own state, or its input is not a batch of vectors, sequences or
            images.
    """
    if not isinstance(module, nn.Module) or not isinstance(example_input, Tensor):
        raise InvalidNetwork(
            f"the torch reader was given a {type(module).__name__} and a {type(example_input).__name__}; "
            "expected a torch.nn.Module and a tensor that is a valid input of its forward"
        )
    dims = tuple(example_input.shape)
    if not 2 <= len(dims) <= 4 or min(dims) < 1:
        raise UnsupportedOperator(
            f"the example input has the shape {list(dims)}; expected 2 to 4 dimensions of at least 1: "
            "a batch of vectors, sequences or images"
        )
    with _in_evaluation(module):
        program = _program(module, example_input)
    return _extracted(program, dims)


@contextmanager
def _in_evaluation(module: nn.Module) -> Iterator[None]:
    """Put a torch module into evaluation mode, and restore the mode of each submodule when the `with` block ends."""
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
        name: str = operator.name()  # type: ignore[no-untyped-call]  # torch does not annotate it
        if name.partition("::")[2].partition(".")[0].rstrip("_") in _NOT_DECOMPOSED:
            del table[operator]
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # torch 2.13 uses a deprecated class internally and warns about it.
            warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec", FutureWarning)
            # Recurrent layers and weight norms assign tensors that they compute, which the program contains.
            warnings.filterwarnings("ignore", "The tensor attributes? .* assigned during export", UserWarning)
            program = torch.export.export(module, (example_input,))
            decomposed: ExportedProgram = program.run_decompositions(table)
            return decomposed
    except Exception as error:  # the module's own code runs here and can raise any error
        first_line = str(error).strip().partition("\n")[0][:300]
        raise InvalidNetwork(
            f"torch.export fails on {type(module).__name__} with an input of shape {list(example_input.shape)}: "
            f"{type(error).__name__}: {first_line}; expected a forward with this tensor as its only argument and "
            "without branches that depend on the tensor's values"
        ) from error


def _extracted(program: ExportedProgram, dims: tuple[int, ...]) -> Exported:
    nodes = {node.name: node for node in program.graph.nodes}
    constants: dict[str, Tensor] = {}
    inputs = []
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT:
            inputs.append(nodes[spec.arg.name])
        elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            tensor: Any = program.state_dict.get(spec.target, program.constants.get(spec.target))
            if tensor.is_meta:
                raise InvalidNetwork(
                    f"the parameter or buffer '{spec.target}' of the module has no data (device 'meta'); load "
                    "its weights first"
                )
            constants[spec.arg.name] = tensor.detach().cpu()
        else:
            raise UnsupportedOperator(
                f"the module holds '{spec.target}' of kind {spec.kind.name}; expected only tensors: replace it "
                "by a buffer"
            )
    if len(inputs) != 1:
        raise InvalidNetwork(
            f"the forward of the module reads {len(inputs)} inputs; expected one tensor: use a module with a "
            "single input"
        )
    (output,) = program.graph.find_nodes(op="output")
    outputs = []
    for result, value in zip(program.graph_signature.output_specs, output.args[0], strict=True):
        if result.kind is not OutputKind.USER_OUTPUT:
            raise UnsupportedOperator(
                f"the module changes its tensor '{result.target}' while it runs; networks with a state are not "
                "supported: remove the change from its forward"
            )
        if not isinstance(value, fx.Node):
            raise InvalidNetwork(
                f"the forward of the module returns {str(value)[:60]!r}, which is not a tensor; expected only "
                "tensors: remove it from the result"
            )
        outputs.append(value)
    return Exported(tuple(program.graph.nodes), inputs[0], dims, constants, tuple(outputs))
