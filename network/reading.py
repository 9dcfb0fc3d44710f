"""A network from the bytes of a file: an ONNX model or our own JSON description."""

from __future__ import annotations

from network.errors import UnreadableFile
from network.json_reading.description import read_json
from network.network import Network

_JSON_SPACE = b" \t\r\n"
_UTF8_MARK = b"\xef\xbb\xbf"


def read_network(content: bytes, name: str) -> Network:
    """The network in a file's content: JSON if its first character is '{', else ONNX.

    Args:
        content: the whole file. Nothing else is opened, whatever the content names.
        name: what reports call the network; a JSON description may carry its own.

    Raises:
        UnreadableFile: neither ONNX nor JSON, truncated, or pointing outside itself.
        UnsupportedOperator: an operator, or a form of one, outside what is read.
        InvalidNetwork: cycles, dangling tensors, shapes that do not fit, NaN weights.
    """
    head = content[:64].removeprefix(_UTF8_MARK).lstrip(_JSON_SPACE)
    if not content or (not head and not content.strip(_JSON_SPACE)):
        raise UnreadableFile("the file is empty; expected an ONNX model or a JSON description")
    if head[:1] == b"{" or (not head and content.lstrip(_JSON_SPACE)[:1] == b"{"):
        return read_json(content, name)
    # The onnx library takes 0.1 s to load: a JSON description does without.
    from network.onnx_reading import read_onnx

    return read_onnx(content, name)
