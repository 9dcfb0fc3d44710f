"""From torch: a module and an example of its input to the `Network` that an ONNX file of it would give.

    module --exporting--> core ATen operators --operators, graphs--> graph of ONNX operators --network_of--> Network

1. `exporting` runs `torch.export` and takes what is needed out of its program.
2. `operators` is a table from ATen's operators to those of ONNX.
3. `graphs` walks over the program, computes what depends on constants alone, and names layers after modules.

What comes then (views, folding of batch norms, activation functions and padding) is the ONNX reader's, shared with it.
"""

from __future__ import annotations

from torch import Tensor, nn

from network.network import Network
from network.onnx_reading import network_of
from qat.torch_reader.exporting import exported_in_evaluation
from qat.torch_reader.graphs import graph_of


def read_module(module: nn.Module, example_input: Tensor, name: str | None = None) -> Network:
    """The network that a torch module computes in evaluation.

    Layers carry the paths of their modules ("features.0.conv"), tensors those of the last module that a layer's fused
    operators belong to; an operator outside torch's own modules adds its name ("blocks.1.add"). The module is left as
    it was, its parameters are copied when the network is built into a module again.

    Args:
        module: its forward takes one tensor.
        example_input: [n, ...] as the module takes it: images [n, c, h, w], sequences [n, c, l] or vectors [n, c]; only
            its shape and type count.
        name: what reports call the network; the module's class where it is left out.

    Raises:
        UnsupportedOperator: an operator, or a form of one, outside what is read; names it and the path of its module.
        InvalidNetwork: torch.export cannot follow the module, shapes that do not fit, NaN weights.
    """
    exported = exported_in_evaluation(module, example_input)
    return network_of(graph_of(exported), type(module).__name__ if name is None else name)
