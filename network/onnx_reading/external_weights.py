"""Weights that an ONNX file keeps in other files beside it, as torch's exporter writes them by default.

The reader opens no file: the caller gives a function that returns the content of a file by its name, and decides which
names exist. A location in the file must be a plain file name, so that it cannot lead out of the caller's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf has no types
from onnx import ModelProto, TensorProto

from network.errors import InvalidNetwork, UnreadableFile
from network.names import is_name
from network.onnx_reading.tensors import refuse_external_data

WeightFile = Callable[[str], bytes]
"""Function from the plain name of a file beside the network to its content; it raises `UnreadableFile`."""

_LONGEST_NUMBER: Final = 18
"""Largest number of digits of an offset or a length."""
_LARGEST_PADDING_BYTES: Final = 65_536
"""Largest number of unused bytes at the end of a file of weights; exporters align tensors to 64 KiB at most."""
_LISTED_FILES: Final = 20
"""Largest number of further files that an error message lists."""


def files_of_weights(content: bytes) -> tuple[str, ...]:
    """Return the names of the files in which an ONNX file keeps weights; empty if the content is not such a file.

    Args:
        content: Content of the ONNX file, or of any other file.

    Raises:
        UnreadableFile: If a name is not the plain name of a file.
    """
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, UnicodeDecodeError):  # the service says what is wrong with the file
        return ()
    external = (each for each in model.graph.initializer if each.external_data)
    return tuple(dict.fromkeys(_plain_name(_entries(each).get("location", ""), _owner(each)) for each in external))


def load_external_weights(tensors: Iterable[TensorProto], weight_file: WeightFile | None) -> int:
    """Put the data that tensors keep in other files into the tensors.

    Args:
        tensors: The tensors, which are changed.
        weight_file: Function that returns the content of a file by its name; None if there are no other files.

    Returns:
        Number of loaded bytes.

    Raises:
        UnreadableFile: If a tensor refers to another file and there is none, or if its location is not a plain name.
        InvalidNetwork: If offset and length do not lie within the file, or if tensors share bytes.
    """
    external = [each for each in tensors if each.data_location == TensorProto.EXTERNAL or each.external_data]
    if weight_file is None:
        for tensor in external:
            refuse_external_data(tensor, _owner(tensor))
        return 0
    locations = dict.fromkeys(_plain_name(_entries(each).get("location", ""), _owner(each)) for each in external)
    contents = _contents(locations, weight_file)
    available = sum(map(len, contents.values()))
    used_bytes = dict.fromkeys(contents, 0)
    loaded = 0
    for tensor in external:
        owner, entries = _owner(tensor), _entries(tensor)
        location = entries["location"]
        content = contents[location]
        offset = _number(entries.get("offset", "0"), owner)
        length = _number(entries["length"], owner) if "length" in entries else max(len(content) - offset, 0)
        loaded += length
        if offset + length > len(content) or loaded > available:
            raise InvalidNetwork(
                f"{owner} has its data at the bytes {offset} to {offset + length} of '{location[:80]}', a file of "
                f"{len(content)} bytes; expected bytes of this file that no other tensor uses: export the network again"
            )
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = content[offset : offset + length]
        used_bytes[location] = max(used_bytes[location], offset + length)
    for location, content in contents.items():
        if len(content) > used_bytes[location] + _LARGEST_PADDING_BYTES:
            raise InvalidNetwork(
                f"the file of weights '{location[:80]}' has {len(content)} bytes, of which the network uses the first "
                f"{used_bytes[location]}; expected the file that was exported with the network: export both again"
            )
    return loaded


def _owner(tensor: TensorProto) -> str:
    return f"initializer '{tensor.name[:80]}'"


def _entries(tensor: TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _contents(locations: Iterable[str], weight_file: WeightFile) -> dict[str, bytes]:
    """Return the content of each file of weights by its name.

    Raises:
        UnreadableFile: If files cannot be read; has the reason for the first one, and the names of the others.
    """
    contents: dict[str, bytes] = {}
    refusals: dict[str, UnreadableFile] = {}
    for location in locations:
        try:
            contents[location] = weight_file(location)
        except UnreadableFile as refusal:
            refusals[location] = refusal
            if len(refusals) > _LISTED_FILES:
                break
    if not refusals:
        return contents
    (_, first), *others = refusals.items()
    if not others:
        raise first
    listed = ", ".join(f"'{name[:80]}'" for name, _ in others)
    raise UnreadableFile(f"{first}; the same applies to {listed}{' ...' if len(others) == _LISTED_FILES else ''}")


def _plain_name(location: object, owner: str) -> str:
    """Return the location if it is the name of a file in the folder of the network.

    Raises:
        UnreadableFile: If it is empty, has a path separator, or is not printable text.
    """
    if not is_name(location) or not isinstance(location, str) or location in {".", ".."} or set(location) & set("/\\:"):
        raise UnreadableFile(
            f"{owner} keeps its data at {str(location)[:80]!r}; expected the plain name of a file in the folder of the "
            "network, without a path: save the network again, with its weights beside it or inside it"
        )
    return location


def _number(text: str, owner: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise InvalidNetwork(
            f"{owner} has {str(text)[:40]!r} as the offset or length of its data; expected a whole number of bytes"
        )
    return int(text)
