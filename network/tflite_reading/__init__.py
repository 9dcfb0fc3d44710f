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

from collections.abc import Iterable

from network.errors import InvalidNetwork, UnsupportedOperator
from network.layers import Layer, Shape
from network.names import shown
from network.network import Network
from network.network_input import MAX_INPUTS, InputFormat, NetworkInput
from network.passes.folding import fold_into_input_format, fold_into_weights
from network.passes.fusing import fuse_activations, fuse_padding, read_inputs, remove_dead_layers
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
    inputs: list[NetworkInput] = []
    for (index, layout), input_name in zip(translation.layouts.items(), translation.inputs, strict=True):
        dims = graph.tensors[index].dims
        is_image = layout.shape.height * layout.shape.width > 1
        input_format = InputFormat(dims[1:] or dims, channels_last=is_image and not layout.is_channels_first)
        layers, input_format = fold_into_input_format(layers, outputs, input_name, input_format)
        inputs.append(NetworkInput(input_name, layout.shape, input_format))
    layers = fold_into_weights(layers, outputs, translation.shapes)
    layers = fuse_padding(fuse_activations(layers, outputs), outputs)
    layers = with_shared_weights(layers, translation.shapes)
    names = read_inputs(translation.inputs, layers, outputs)
    inputs = [each for each in inputs if each.name in names]
    return Network(
        name=name,
        inputs=tuple(inputs),
        layers=layers,
        outputs=outputs,
        ends_in_softmax=translation.ends_in_softmax and not translation.refusals,
        ranges=_ranges(translation, layers, inputs),
        host_steps=ending.host_steps,
        host_graph=host_graph_of(translation, names),
    )


def _translate_with_layout(graph: Graph) -> Translation:
    """Translate the operators with the inputs as the file gives them, or as the images that operators require."""
    indices = _needed_inputs(graph)
    layouts = {index: InputLayout(_input_shape(graph, index)) for index in indices}
    settled: frozenset[str] = frozenset()
    while True:  # each restart settles the layout of one input or more
        translation = Translation(graph, layouts, settled)
        try:
            translate(translation)
        except InputLayoutRequired as required:
            of_name = dict(zip(translation.inputs, layouts, strict=True))
            layouts = {**layouts, **{of_name[name]: required.layout for name in required.inputs}}
            settled |= required.inputs
        else:
            return translation


def _needed_inputs(graph: Graph) -> tuple[int, ...]:
    """Return the indices of the inputs on which an output depends; the only input is needed in any case."""
    if len(graph.inputs) == 1:
        return graph.inputs
    read = {*graph.outputs, *(index for node in graph.nodes for index in node.inputs)}
    needed = tuple(index for index in dict.fromkeys(graph.inputs) if index in read)
    if not 1 <= len(needed) <= MAX_INPUTS:
        raise UnsupportedOperator(
            f"the network has {len(needed)} inputs on which an output depends; expected 1 to {MAX_INPUTS}"
        )
    return needed


def _input_shape(graph: Graph, index: int) -> Shape:
    tensor = graph.tensors.get(index)
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
    return shape


def _ranges(
    translation: Translation, layers: tuple[Layer, ...], inputs: Iterable[NetworkInput]
) -> dict[str, tuple[float, float]]:
    """Return the ranges of the tensors that are left after the passes.

    Args:
        translation: The translation, with the ranges of all tensors of the file.
        layers: The layers after the passes.
        inputs: The inputs. The range of one whose format has a scaling is left out, because the scaling changes it.
    """
    kept = [each.name for each in inputs if each.format.is_normalised_already]
    kept += [layer.output for layer in layers]
    return {tensor: translation.ranges[tensor] for tensor in kept if tensor in translation.ranges}
