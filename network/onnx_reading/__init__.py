"""Reader of ONNX files: from the bytes of a file to a `Network`.

    bytes --proto--> graph of nodes --operators--> layers over tensors --fusing--> steps of a device
    (between the first two, `quantized` takes a quantized graph back to float)

1. `proto` parses the file into a graph of nodes. It rejects cycles, missing values and files that are not ONNX.
2. `operators` is a table that maps each ONNX operator to a function in `windows`, `reductions`, `products`,
   `pointwise`, `movements` or `constants`. The function receives a `Call` and returns the value of the node's output:
   a constant, or a view (`views`) of one of the network's tensors. It may emit a layer (`translation`).
3. `folding` and `fusing` contain the passes that fold batch norms, scalings, activation functions and padding into the
   layers.
"""

from __future__ import annotations

from network.errors import InvalidNetwork, UnsupportedOperator
from network.network import InputFormat, Network
from network.onnx_reading.folding import fold_into_input_format, fold_into_weights
from network.onnx_reading.fusing import fuse_activations, fuse_padding, remove_dead_layers
from network.onnx_reading.operators import translate
from network.onnx_reading.proto import Graph, parse
from network.onnx_reading.quantized.float_graph import without_quantization
from network.onnx_reading.translation import InputLayout, InputLayoutRequired, Translation
from network.onnx_reading.views import View, image_shape


def read_onnx(content: bytes, name: str) -> Network:
    """Read the network from the bytes of an ONNX file.

    Each layer has the name of its ONNX node. Each tensor has the name of the last ONNX value that the nodes fused into
    its layer write. An output that the file reshapes or transposes is returned as the tensor before that, channels
    first.

    Args:
        content: Bytes of the whole file; no other file is opened.
        name: Name of the network in reports.

    Raises:
        UnreadableFile: If the file is not valid ONNX, is truncated, or keeps its weights in other files.
        UnsupportedOperator: If an operator, a form of an operator or the opset is not supported; names the node.
        InvalidNetwork: If the graph has a cycle or a value that no node writes, if shapes do not match, or if weights
            are NaN or infinite; names the node or layer.
    """
    return network_of(without_quantization(parse(content)).graph, name)


def network_of(graph: Graph, name: str) -> Network:
    """Translate a graph of ONNX operators into a network, from whichever file format the graph was read.

    Args:
        graph: The graph of ONNX nodes.
        name: Name of the network in reports.

    Raises:
        UnsupportedOperator: If an operator or a form of an operator is not supported; names the node.
        InvalidNetwork: If shapes do not match, or if weights are NaN or infinite; names the node or layer.
    """
    translation = _translate_with_layout(graph)
    outputs = _outputs(translation)
    layers = remove_dead_layers(tuple(translation.layers), outputs)
    input_format = InputFormat(graph.input_dims, channels_last=translation.layout.channels_last)
    layers, input_format = fold_into_input_format(layers, outputs, graph.input, input_format)
    layers = fold_into_weights(layers, outputs, translation.shapes)
    layers = fuse_activations(layers, outputs)
    layers = fuse_padding(layers, outputs)
    return Network(
        name=name,
        input=graph.input,
        input_shape=translation.layout.shape,
        layers=layers,
        outputs=outputs,
        input_format=input_format,
        ends_in_softmax=translation.ends_in_softmax,
    )


def _translate_with_layout(graph: Graph) -> Translation:
    """Translate the nodes with a channels-first input, or with another layout if an operator requires it."""
    shape = image_shape(graph.input_dims)
    if shape is None:
        raise UnsupportedOperator(
            f"the input has the dimensions {list(graph.input_dims)} behind the batch; expected 1 to 3 (a vector, a "
            "sequence or an image): export the network with such an input"
        )
    try:
        translation = Translation(graph, InputLayout(shape), layout_is_settled=False)
        translate(translation)
    except InputLayoutRequired as required:
        translation = Translation(graph, required.layout, layout_is_settled=True)
        translate(translation)
    return translation


def _outputs(translation: Translation) -> tuple[str, ...]:
    """Return the names of the tensors behind the graph's outputs, without duplicates."""
    tensors = []
    for name in translation.graph.outputs:
        value = translation.value(name, "the network's output")
        if not isinstance(value, View):
            raise InvalidNetwork(
                f"the network's output '{name[:80]}' is a constant, which does not depend on the input; "
                "expected an output that is computed from the input: remove the constant from the graph's outputs"
            )
        tensors.append(value.tensor)
    return tuple(dict.fromkeys(tensors))
