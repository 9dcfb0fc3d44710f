"""Reader of TFLite files: from the bytes of a file to a `Network`.

    bytes --schema--> graph of operators --operators--> layers over tensors --network.passes--> steps of a device

1. `schema` parses the file into a graph (`graph`). It rejects files whose offsets, lengths or indices are damaged.
2. `operators` is a table that maps each TFLite operator to a function in `windows`, `products`, `pointwise` or
   `movements`. The function receives a `Call` and returns the value of the operator's output: a constant (`constants`),
   or a view (`views`) of one of the network's tensors. It may emit a layer.
3. `ending` decides whether operators stand in the way, which `refusals` then lists in one error, or are left to the
   host, whose computation `tail` keeps as ONNX operators (`host_operators`).
4. The passes fold scalings, activation functions and padding into the layers, as for ONNX files.

A quantized file is taken back to real numbers: weights and biases by their scales, QUANTIZE and DEQUANTIZE left out.
The intervals that the codes of its activation tensors cover are kept in `Network.ranges`.
"""

from __future__ import annotations

from network.errors import InvalidNetwork, UnsupportedOperator
from network.layers import Layer
from network.names import shown
from network.network import InputFormat, Network
from network.passes.folding import fold_into_input_format, fold_into_weights
from network.passes.fusing import fuse_activations, fuse_padding, remove_dead_layers
from network.reading_options import AS_IN_FILE, ReadingOptions, open_extent_advice
from network.shared_weights import with_shared_weights
from network.tflite_reading.ending import ending_of
from network.tflite_reading.graph import Graph
from network.tflite_reading.operators import translate
from network.tflite_reading.reading_options import extents_of, with_options
from network.tflite_reading.schema import parse
from network.tflite_reading.tail import host_graph_of
from network.tflite_reading.translation import Translation
from network.tflite_reading.views import InputLayout, InputLayoutRequired, image_shape


def read_tflite(content: bytes, name: str, options: ReadingOptions = AS_IN_FILE) -> Network:
    """Read the network from the bytes of a TFLite file.

    Each layer and its tensor have the name of the TFLite tensor that the operator writes, up to the first ";". An
    output that the file reshapes is returned as the tensor before that, channels first.

    Args:
        content: Bytes of the whole file; no other file is opened.
        name: Name of the network in reports.
        options: Extents of open dimensions, and the tensors at which the network ends.

    Raises:
        RequestError: If the options name an input or a tensor that does not exist, or contradict the file.
        UnreadableFile: If the file is damaged or truncated.
        UnsupportedOperator: If operators, or forms of operators, are not supported; names all of them.
        InvalidNetwork: If shapes, scales or options contradict each other, or if weights are NaN or infinite.
    """
    graph = with_options(parse(content), options)
    translation = _translate_with_layout(graph)
    ending = ending_of(translation)
    outputs = ending.outputs
    layers = remove_dead_layers(tuple(translation.layers), outputs)
    dims = graph.tensors[graph.inputs[0]].dims
    layout = translation.layout
    is_image = layout.shape.height * layout.shape.width > 1
    input_format = InputFormat(dims[1:] or dims, channels_last=is_image and not layout.is_channels_first)
    layers, input_format = fold_into_input_format(layers, outputs, translation.input, input_format)
    layers = fold_into_weights(layers, outputs, translation.shapes)
    layers = fuse_padding(fuse_activations(layers, outputs), outputs)
    layers = with_shared_weights(layers, translation.shapes)
    return Network(
        name=name,
        input=translation.input,
        input_shape=layout.shape,
        layers=layers,
        outputs=outputs,
        input_format=input_format,
        ends_in_softmax=translation.ends_in_softmax and not translation.refusals,
        ranges=_ranges(translation, layers, input_is_scaled=not input_format.is_normalised_already),
        host_steps=ending.host_steps,
        host_graph=host_graph_of(translation),
    )


def _translate_with_layout(graph: Graph) -> Translation:
    """Translate the operators with the input as the file gives it, or as the image that an operator requires."""
    if len(graph.inputs) != 1:
        raise UnsupportedOperator(
            f"the network has {len(graph.inputs)} inputs; expected one: convert a network with a single input"
        )
    tensor = graph.tensors.get(graph.inputs[0])
    if tensor is None or tensor.data is not None:
        raise InvalidNetwork("the network's input is a constant; expected a tensor that the caller writes")
    if tensor.open_axes:
        advice = open_extent_advice(tensor.name, extents_of(tensor))
        raise UnsupportedOperator(f"the input '{shown(tensor.name)}' has an open dimension; {advice}")
    if tensor.problem:
        raise UnsupportedOperator(f"the input '{shown(tensor.name)}' {tensor.problem}")
    shape = image_shape(tensor.dims)
    if shape is None:
        raise UnsupportedOperator(
            f"the input has the extents {list(tensor.dims)}; expected a batch of 1 with a vector, a sequence or an "
            "image (height, width, channels): convert the network with such an input"
        )
    if min(shape) < 1:
        raise InvalidNetwork(f"the input has the extents {list(tensor.dims)}; expected extents of 1 or more")
    try:
        translation = Translation(graph, InputLayout(shape), input_is_settled=False)
        translate(translation)
    except InputLayoutRequired as required:
        translation = Translation(graph, required.layout, input_is_settled=True)
        translate(translation)
    return translation


def _ranges(
    translation: Translation, layers: tuple[Layer, ...], *, input_is_scaled: bool
) -> dict[str, tuple[float, float]]:
    """Return the ranges of the tensors that are left after the passes.

    Args:
        translation: The translation, with the ranges of all tensors of the file.
        layers: The layers after the passes.
        input_is_scaled: Whether a scaling was folded into the input format, so that the range of the input changed.
    """
    kept = [layer.output for layer in layers]
    if not input_is_scaled:
        kept.insert(0, translation.input)
    return {tensor: translation.ranges[tensor] for tensor in kept if tensor in translation.ranges}
