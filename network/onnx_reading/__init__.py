"""Reading ONNX: from the bytes of a file to a `Network`.

    bytes --proto--> graph of nodes --operators--> layers over tensors --fusing--> layers as a device runs them

1. `proto` takes all that is needed out of the file format, and refuses cycles, missing values and foreign files.
2. `operators` is a table from ONNX's operators to functions in `windows`, `reductions`, `products`, `pointwise`,
   `movements` and `constants`. Each function gets a `call` and says what the node's output stands for: a constant, or a
   view of a tensor of ours (`views`), for which it may have emitted a layer (`translation`).
3. `fusing` folds batch norms, activation functions and padding into the layers.
"""

from __future__ import annotations

from network.errors import InvalidNetwork, UnsupportedOperator
from network.network import InputFormat, Network
from network.onnx_reading.fusing import (
    activations_into_layers,
    into_input_format,
    into_weights,
    pads_into_windows,
    without_dead_layers,
)
from network.onnx_reading.operators import translate
from network.onnx_reading.proto import Graph, parse
from network.onnx_reading.translation import InputLayout, InputSeenAs, Translation
from network.onnx_reading.views import View, image_shape


def read_onnx(content: bytes, name: str) -> Network:
    """The network in an ONNX file's bytes.

    Layers carry the names of their ONNX nodes, tensors those of the last ONNX value that a layer's fused nodes write.
    An output that the file reshapes or transposes is given as our tensor, channels first.

    Args:
        content: the whole file; nothing else is opened.
        name: what reports call the network.

    Raises:
        UnreadableFile: no ONNX, truncated, or weights in other files.
        UnsupportedOperator: an operator, a form of one or an opset outside what is read; names the node.
        InvalidNetwork: cycles, dangling tensors, shapes that do not fit, NaN weights; names the node or layer.
    """
    return network_of(parse(content), name)


def network_of(graph: Graph, name: str) -> Network:
    """The network that a graph of ONNX operators computes, whichever format the graph was read from.

    Raises:
        UnsupportedOperator: an operator, or a form of one, outside what is read; names the node.
        InvalidNetwork: shapes that do not fit, NaN weights; names the node or layer.
    """
    translation = _translated(graph)
    outputs = _outputs(translation)
    layers = without_dead_layers(tuple(translation.layers), outputs)
    form = InputFormat(graph.input_dims, channels_last=translation.layout.channels_last)
    layers, form = into_input_format(layers, outputs, graph.input, form)
    layers = into_weights(layers, outputs, translation.shapes)
    layers = activations_into_layers(layers, outputs)
    layers = pads_into_windows(layers, outputs)
    return Network(
        name=name,
        input=graph.input,
        input_shape=translation.layout.shape,
        layers=layers,
        outputs=outputs,
        input_format=form,
        ends_in_softmax=translation.ends_in_softmax,
    )


def _translated(graph: Graph) -> Translation:
    """The nodes read with channels first, or, where an operator sees the input otherwise, as that one does."""
    shape = image_shape(graph.input_dims)
    if shape is None:
        raise UnsupportedOperator(f"the input has the dimensions {list(graph.input_dims)}; expected an image at most")
    try:
        translation = Translation(graph, InputLayout(shape), layout_is_settled=False)
        translate(translation)
    except InputSeenAs as seen:
        translation = Translation(graph, seen.layout, layout_is_settled=True)
        translate(translation)
    return translation


def _outputs(translation: Translation) -> tuple[str, ...]:
    tensors = []
    for name in translation.graph.outputs:
        value = translation.value(name, "the network's output")
        if not isinstance(value, View):
            raise InvalidNetwork(f"the network's output '{name[:80]}' is a constant: it does not depend on the input")
        tensors.append(value.tensor)
    return tuple(dict.fromkeys(tensors))
