"""Reading of a network from the content of a file: an ONNX model, a TFLite model or a JSON description."""

from __future__ import annotations

from collections.abc import Callable

from network.cutting import cut_at
from network.errors import UnreadableFile
from network.foreign_files import foreign_file
from network.json_reading.description import read_json
from network.network import Network
from network.reading_options import AS_IN_FILE, ReadingOptions

_EXPECTED = "an ONNX model, a TFLite model or a JSON description"
_JSON_SPACE = b" \t\r\n"
_UTF8_MARK = b"\xef\xbb\xbf"
_TFLITE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of a TFLite file."""


def read_network(
    content: bytes,
    name: str,
    weight_file: Callable[[str], bytes] | None = None,
    options: ReadingOptions = AS_IN_FILE,
) -> Network:
    """Read a network from the content of a file, in the format that the content shows.

    JSON has '{' as its first character, TFLite has "TFL3" in bytes 4 to 7; everything else is taken for ONNX.

    Args:
        content: Content of the whole file. The reader opens no other file, even if the content refers to one.
        name: Name of the network in reports; a JSON description may replace it.
        weight_file: Function that returns the content of a file of weights, by the plain name that an ONNX file gives;
            None if weights in other files are refused.
        options: Extents of open dimensions, the tensors at which the network ends, and the normalisation of the samples
            that the file does not contain.

    Raises:
        RequestError: if the options name an input or a tensor that does not exist, or contradict the file.
        UnreadableFile: if the content is neither ONNX, TFLite nor JSON, is truncated, or refers to other files that are
            not given; says what a file of another known format is, and how to convert it.
        UnsupportedOperator: if the network has an operator, or a form of an operator, that is not supported.
        InvalidNetwork: if the network has a cycle, a dangling tensor, mismatched shapes or NaN weights.
    """
    return options.declared.applied_to(_network_in(content, name, weight_file, options))


def _network_in(
    content: bytes, name: str, weight_file: Callable[[str], bytes] | None, options: ReadingOptions
) -> Network:
    head = content[:64].removeprefix(_UTF8_MARK).lstrip(_JSON_SPACE)
    if not content or (not head and not content.strip(_JSON_SPACE)):
        raise UnreadableFile(f"the file is empty; expected {_EXPECTED}: copy or download it again")
    if head[:1] == b"{" or (not head and content.lstrip(_JSON_SPACE)[:1] == b"{"):
        return cut_at(read_json(content, name), options)
    if content[4:8] == _TFLITE_IDENTIFIER:
        # Loading the schema package takes 0.1 s, and other formats do not need it.
        from network.tflite_reading import read_tflite

        return read_tflite(content, name, options)
    if (foreign := foreign_file(content)) is not None:
        raise UnreadableFile(f"the file is {foreign.what}; expected {_EXPECTED}: {foreign.message}")
    # Loading the onnx library takes 0.1 s, and a JSON description does not need it.
    from network.onnx_reading import read_onnx

    return read_onnx(content, name, weight_file, options)
