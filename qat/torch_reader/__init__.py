"""Reader of torch modules: converts a module and an example input to the `Network` that the module's ONNX file would
give.

    module --exporting--> core ATen operators --operators, graphs--> graph of ONNX operators --network_of--> Network

1. `exporting` runs `torch.export` and extracts the nodes, constants, input and outputs of its program.
2. `operators` is a table from ATen operators to ONNX operators.
3. `graphs` converts the nodes in order, computes everything that depends on constants only, and names layers after the
   modules that they belong to.

The ONNX reader does the rest: views, and the folding of batch norms, activation functions and padding.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from network.network import Network
from network.onnx_reading import network_of
from qat.torch_reader.exporting import exported_in_evaluation
from qat.torch_reader.graphs import graph_of


def read_module(
    module: nn.Module, example_input: Tensor, name: str | None = None, *, outputs: Sequence[str] = ()
) -> Network:
    """Return the network that a torch module computes in evaluation mode.

    A layer has the path of its module as its name ("features.0.conv"). A tensor has the path of the last module whose
    operators are fused into the layer that writes it. An operator outside torch's own modules has the path of its
    module and its own name ("blocks.1.add"). The module is not changed; `qat.prepare` copies its parameters when it
    builds a trainable network.

    Args:
        module: The module; its forward has one tensor as its only argument.
        example_input: An input of the module: images [n, c, h, w], sequences [n, c, l] or vectors [n, c]. Only its
            shape and type matter.
        name: Name of the network in reports; None uses the name of the module's class.
        outputs: Names of the tensors at which the network ends; what is behind them is not read. Empty for the results
            of the module.

    Raises:
        RequestError: if `outputs` names a tensor that no operator writes.
        UnsupportedOperator: if operators, or some of their arguments, are not supported; the message names each
            operator and the path of its module.
        InvalidNetwork: if torch.export fails on the module, shapes do not match, or weights contain NaN.
    """
    graph = graph_of(exported_in_evaluation(module, example_input)).ended_at(tuple(outputs))
    return network_of(graph, type(module).__name__ if name is None else name)
