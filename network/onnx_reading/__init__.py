"""Reader of ONNX files: from the bytes of a file to a `Network`.

    bytes --proto--> graph of nodes --operators--> layers over tensors --fusing--> steps of a device
    (between the first two, `quantized` takes a quantized graph back to float)

1. `proto` parses the file into a graph of nodes. It rejects cycles, missing values and files that are not ONNX.
2. `structure` has the onnx library inline functions and convert opsets before 11.
3. `operators` is a table that maps each ONNX operator to a function in `windows`, `reductions`, `products`,
   `pointwise`, `movements` or `constants`. The function receives a `Call` and returns the value of the node's output:
   a constant, or a view (`views`) of one of the network's tensors. It may emit a layer (`translation`). A node that
   cannot be read becomes an obstacle, and `judgement` judges the nodes behind it.
4. `ending` decides whether obstacles stand in the way, which `refusal` then lists by cause, or are left to the host.
5. `network.passes` has the passes that fold batch norms, scalings, activation functions and padding into the
   layers; `swapping` exchanges rows and columns if the file transposes its input.
6. `network.shared_weights` finds the layers that read the same weight tensor of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from network.errors import InvalidNetwork, NetworkError, UnsupportedOperator
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from network.onnx_reading.ending import ending_of
from network.onnx_reading.external_weights import WeightFile
from network.onnx_reading.graph import Graph, needed_nodes
from network.onnx_reading.operators import translate
from network.onnx_reading.proto import parse
from network.onnx_reading.quantized.float_graph import without_quantization
from network.onnx_reading.quantized.parameters import Interval
from network.onnx_reading.ranges import ranges_of
from network.onnx_reading.swapping import swapped_shape, with_rows_and_columns_swapped
from network.onnx_reading.tail import host_graph_of
from network.onnx_reading.translation import InputLayout, InputLayoutRequired, Translation
from network.onnx_reading.views import image_shape
from network.passes.folding import fold_into_input_format, fold_into_weights
from network.passes.fusing import fuse_activations, fuse_padding, read_inputs, remove_dead_layers
from network.reading_options import AS_IN_FILE, ReadingOptions
from network.shared_weights import with_shared_weights


def read_onnx(
    content: bytes, name: str, weight_file: WeightFile | None = None, options: ReadingOptions = AS_IN_FILE
) -> Network:
    """Read the network from the bytes of an ONNX file.

    Each layer has the name of its ONNX node. Each tensor has the name of the last ONNX value that the nodes fused into
    its layer write. An output that the file reshapes or transposes is returned as the tensor before that, channels
    first.

    Args:
        content: Bytes of the whole file; the reader opens no other file.
        name: Name of the network in reports.
        weight_file: Function that returns the content of a file of weights by its name; None if there are no such
            files.
        options: Extents of open dimensions, and the tensors at which the network ends: values that nodes of the file
            write, or tensors of the network.

    Raises:
        RequestError: If the options name an input or a tensor that does not exist, or contradict the file.
        UnreadableFile: If the file is not valid ONNX, is truncated, or keeps its weights in other files that are not
            given.
        UnsupportedOperator: If an operator, a form of an operator or the opset is not supported; names the node.
        InvalidNetwork: If the graph has a cycle or a value that no node writes, if shapes do not match, or if weights
            are NaN or infinite; names the node or layer.
    """
    given = without_quantization(parse(content, weight_file, options))
    return network_of(given.graph.ended_at(options.outputs), name, given.intervals)


def network_of(graph: Graph, name: str, intervals: Mapping[str, Interval] | None = None) -> Network:
    """Translate a graph of ONNX operators into a network, from whichever file format the graph was read.

    Args:
        graph: The graph of ONNX nodes.
        name: Name of the network in reports.
        intervals: Smallest and largest real number of each value that the file quantizes, by the name of the value;
            None if the file is not quantized.

    Raises:
        UnsupportedOperator: If an operator or a form of an operator is not supported; names the node.
        InvalidNetwork: If shapes do not match, or if weights are NaN or infinite; names the node or layer.
    """
    graph = replace(graph, nodes=needed_nodes(graph.nodes, graph.outputs))
    intervals = intervals or {}
    try:
        return _network_of(graph, name, intervals)
    except (UnsupportedOperator, InvalidNetwork):
        without_batch = graph.without_batch()
        if without_batch is None:
            raise
        try:
            return _network_of(without_batch, name, intervals)
        except NetworkError:
            pass  # the first reason is the true one
        raise


def _network_of(graph: Graph, name: str, intervals: Mapping[str, Interval]) -> Network:
    translation = _translate_with_layout(graph)
    ending = ending_of(translation)
    outputs = ending.outputs
    layers = remove_dead_layers(tuple(translation.layers), outputs)
    formats: dict[str, InputFormat] = {}
    for each in graph.inputs:
        given = InputFormat(each.dims, channels_last=translation.layouts[each.name].channels_last)
        layers, formats[each.name] = fold_into_input_format(layers, outputs, each.name, given)
    layers = fold_into_weights(layers, outputs, translation.shapes)
    layers = fuse_activations(layers, outputs)
    layers = fuse_padding(layers, outputs)
    shapes = {each: layout.shape for each, layout in translation.layouts.items()}
    if any(layout.swaps_rows_and_columns for layout in translation.layouts.values()):
        layers = with_rows_and_columns_swapped(layers, outputs, translation.shapes, translation.layouts)
        shapes = {each: swapped_shape(shape) for each, shape in shapes.items()}
    layers = with_shared_weights(layers, translation.shapes)
    inputs = tuple(NetworkInput(each, shapes[each], formats[each]) for each in read_inputs(shapes, layers, outputs))
    return Network(
        name=name,
        inputs=inputs,
        layers=layers,
        outputs=outputs,
        ends_in_softmax=translation.ends_in_softmax and not ending.is_cut,
        ranges=ranges_of(translation, intervals, inputs, layers),
        host_steps=ending.host_steps,
        host_graph=host_graph_of(translation, [each.name for each in inputs]),
    )


def _translate_with_layout(graph: Graph) -> Translation:
    """Translate the nodes with channels-first inputs, or with other layouts if operators require them."""
    layouts: dict[str, InputLayout] = {}
    for each in graph.inputs:
        shape = image_shape(each.dims)
        if shape is None:
            raise UnsupportedOperator(
                f"the input '{each.name[:80]}' has the dimensions {list(each.dims)} behind the batch; expected 1 to 3 "
                "(a vector, a sequence or an image): export the network with such an input"
            )
        layouts[each.name] = InputLayout(shape)
    settled: frozenset[str] = frozenset()
    while True:  # each restart settles the layout of one input or more
        try:
            translation = Translation(graph, layouts, settled)
            translate(translation)
        except InputLayoutRequired as required:
            layouts |= required.layouts
            settled |= required.layouts.keys()
        else:
            return translation
