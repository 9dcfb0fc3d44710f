"""Reading of a network from the content of a file: an ONNX model or a JSON description."""

from __future__ import annotations

from network.errors import UnreadableFile
from network.foreign_files import foreign_file
from network.json_reading.description import read_json
from network.network import Network

_EXPECTED = "an ONNX model or a JSON description"
_JSON_SPACE = b" \t\r\n"
_UTF8_MARK = b"\xef\xbb\xbf"


def read_network(content: bytes, name: str) -> Network:
    """Read a network from the content of a file: JSON if its first character is '{', else ONNX.

    Args:
        content: Content of the whole file. Other files are never opened, even if the content refers to them.
        name: Name of the network in reports; a JSON description may replace it.

    Raises:
        UnreadableFile: if the content is neither ONNX nor JSON, is truncated, or refers to other files; says what a
            file of another known format is, and how to convert it.
        UnsupportedOperator: if the network has an operator, or a form of an operator, that is not supported.
        InvalidNetwork: if the network has a cycle, a dangling tensor, mismatched shapes or NaN weights.
    """
    head = content[:64].removeprefix(_UTF8_MARK).lstrip(_JSON_SPACE)
    if not content or (not head and not content.strip(_JSON_SPACE)):
        raise UnreadableFile(f"the file is empty; expected {_EXPECTED}: copy or download it again")
    if head[:1] == b"{" or (not head and content.lstrip(_JSON_SPACE)[:1] == b"{"):
        return read_json(content, name)
    if (foreign := foreign_file(content)) is not None:
        raise UnreadableFile(f"the file is {foreign.what}; expected {_EXPECTED}: {foreign.message}")
    # Loading the onnx library takes 0.1 s, and a JSON description does not need it.
    from network.onnx_reading import read_onnx

    return read_onnx(content, name)
