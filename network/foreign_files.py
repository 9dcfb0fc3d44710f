"""Files of other formats that are given in place of a network: what each is, and how to make from it what is read.

A file is recognised by its first bytes, or by the names inside a zip archive. Nothing is extracted, decompressed or
unpickled. `docs/formats.md` lists the table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from network.zip_members import LOCAL_HEADER, member_names

_HEAD_BYTES: Final = 4096
_SEARCHED_BYTES: Final = 2**26
_TAR_MARK_AT: Final = 257
_MAX_LEADING_SPACE: Final = 64

_EXPORT: Final = "torch.onnx.export(m.eval(), (torch.zeros(1, 3, 32, 32),), 'model.onnx', external_data=False)"


@dataclass(frozen=True)
class ForeignFile:
    """A kind of file that is not read.

    Attributes:
        what: Noun phrase that says what the file is.
        advice: What to do; a command follows it, if there is one.
        command: Command that makes a file that is read; empty if there is none.
        matches: Function that recognises the kind by the content of a file.
    """

    what: str
    advice: str
    command: str
    matches: Callable[[bytes], bool]

    @property
    def message(self) -> str:
        """Message for a file of this kind, without the expectation of what the caller reads."""
        return f"{self.advice}: {self.command}" if self.command else self.advice


def foreign_file(content: bytes) -> ForeignFile | None:
    """Return the kind of a file that is not read; None if the content may be a network.

    Args:
        content: Content of the whole file.
    """
    return next((kind for kind in FOREIGN_FILES if kind.matches(content)), None)


def _starts_with(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda content: content.startswith(signatures)


def _is_hdf5(content: bytes) -> bool:
    return content.startswith(b"\x89HDF\r\n\x1a\n")


def _is_keras_hdf5(content: bytes) -> bool:
    # Keras keeps the architecture in an attribute of this name; a file of weights alone does not have it.
    return _is_hdf5(content) and content.find(b"model_config", 0, _SEARCHED_BYTES) >= 0


def _zip_with(matches: Callable[[tuple[str, ...]], bool]) -> Callable[[bytes], bool]:
    """Return a function that recognises a zip archive by the names of its members.

    Args:
        matches: Function of the names.
    """
    return lambda content: content.startswith(LOCAL_HEADER) and matches(member_names(content))


def _has_keras_config(names: tuple[str, ...]) -> bool:
    return "config.json" in names and any(name.endswith(".weights.h5") for name in names)


def _has_exported_program(names: tuple[str, ...]) -> bool:
    return any(name.endswith(("/archive_format", "/models/model.json", "exported_program.json")) for name in names)


def _has_torchscript(names: tuple[str, ...]) -> bool:
    return any(name.endswith(("/constants.pkl", "/code/__torch__.py")) for name in names)


def _has_pickle(names: tuple[str, ...]) -> bool:
    return any(name.rpartition("/")[2] == "data.pkl" for name in names)


def _has_only_arrays(names: tuple[str, ...]) -> bool:
    return bool(names) and all(name.endswith(".npy") for name in names)


def _is_pickle(content: bytes) -> bool:
    # Opcode PROTO with the versions 2 to 5.
    return content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def _is_safetensors(content: bytes) -> bool:
    header_bytes = int.from_bytes(content[:8], "little")
    return content[8:9] == b"{" and 2 <= header_bytes <= len(content) - 8


def _is_saved_model(content: bytes) -> bool:
    """Return whether a file starts as a SavedModel: schema version 1, then a graph that starts with its description."""
    if not content.startswith(b"\x08\x01\x12"):
        return False
    place = _after_varint(content, 3)
    return content[place : place + 1] == b"\x0a"


def _after_varint(content: bytes, place: int) -> int:
    """Return the place behind a number of variable length, which has at most 10 bytes."""
    last = next((at for at in range(place, place + 10) if content[at : at + 1] < b"\x80"), place)
    return last + 1


def _is_graph_def(content: bytes) -> bool:
    """Return whether a file starts as a GraphDef: a list of nodes, each with its name and its operator first.

    Field 1 of an ONNX model is a number, so that no ONNX model starts like this.
    """
    if content[:1] != b"\x0a":
        return False
    place = _after_varint(content, 1)
    name_bytes = content[place + 1 : place + 2]
    if content[place : place + 1] != b"\x0a" or not name_bytes or name_bytes >= b"\x80":
        return False
    return content[place + 2 + name_bytes[0] : place + 3 + name_bytes[0]] == b"\x12"


def _is_page(content: bytes) -> bool:
    head = content[:_HEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) or (
        head.startswith((b"<?xml", b"<!--")) and b"<html" in head
    )


def _is_picture(content: bytes) -> bool:
    if content[:2] == b"BM":
        return int.from_bytes(content[2:6], "little") == len(content)
    if content[:4] == b"RIFF":
        return content[8:12] == b"WEBP"
    return content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"))


def _is_tar(content: bytes) -> bool:
    return content[_TAR_MARK_AT : _TAR_MARK_AT + 5] == b"ustar"


FOREIGN_FILES: Final = (
    ForeignFile(
        "a Keras model (.h5)", "convert it with tf2onnx and TensorFlow",
        "python -m tf2onnx.convert --keras model.h5 --output model.onnx", _is_keras_hdf5,
    ),
    ForeignFile(
        "an HDF5 file without an architecture, as Keras's save_weights writes it (.weights.h5)",
        "load the weights into the Keras model that they belong to, save that with model.save('model.keras'), and "
        "convert it", "python -m tf2onnx.convert --keras model.keras --output model.onnx", _is_hdf5,
    ),
    ForeignFile(
        "a Keras model (.keras)", "convert it with tf2onnx and TensorFlow",
        "python -m tf2onnx.convert --keras model.keras --output model.onnx", _zip_with(_has_keras_config),
    ),
    ForeignFile(
        "a program of torch.export (.pt2)", "export it with torch and onnxscript",
        "python -c \"import torch; torch.onnx.export(torch.export.load('model.pt2'), f='model.onnx', "
        'external_data=False)"', _zip_with(_has_exported_program),
    ),
    ForeignFile(
        "a TorchScript module (.pt)", "export it with torch, with the shape of your input",
        "python -c \"import torch; torch.onnx.export(torch.jit.load('model.pt').eval(), "
        "(torch.zeros(1, 3, 32, 32),), 'model.onnx', dynamo=False)\"", _zip_with(_has_torchscript),
    ),
    ForeignFile(
        "a checkpoint of torch.save (.pt, .pth)",
        "it is a pickle and is not opened; export the network from your code, here the class Net of the module net, "
        "with torch and onnxscript",
        'python -c "import torch; from net import Net; m = Net(); '
        f"m.load_state_dict(torch.load('model.pt', weights_only=True)); {_EXPORT}\"",
        lambda content: content.startswith(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")
        or _zip_with(_has_pickle)(content),
    ),
    ForeignFile(
        "a set of weights without an architecture (.safetensors)",
        "export the network from your code, here the class Net of the module net, with torch, safetensors and "
        "onnxscript",
        'python -c "import torch, safetensors.torch; from net import Net; m = Net(); '
        f"safetensors.torch.load_model(m, 'model.safetensors'); {_EXPORT}\"", _is_safetensors,
    ),
    ForeignFile(
        "a Python pickle (.pkl, .joblib)",
        "it is not opened, because a pickle can run any code; export the network to ONNX with the library that wrote "
        "it", "", _is_pickle,
    ),
    ForeignFile(
        "the graph of a TensorFlow SavedModel (saved_model.pb)",
        "convert the folder that it is in, here saved, with tf2onnx and TensorFlow",
        "python -m tf2onnx.convert --saved-model saved --output model.onnx", _is_saved_model,
    ),
    ForeignFile(
        "a frozen TensorFlow graph (.pb)",
        "convert it with tf2onnx and TensorFlow, with the names of its inputs and outputs",
        "python -m tf2onnx.convert --graphdef model.pb --inputs x:0 --outputs Identity:0 --output model.onnx",
        _is_graph_def,
    ),
    ForeignFile(
        "a model of Espressif's ESP-DL (.espdl)",
        "no tool converts it back; give the ONNX model from which ESP-PPQ made it", "",
        _starts_with(b"EDL1", b"EDL2", b"PDL1", b"PDL2", b"PDL3"),
    ),
    ForeignFile(
        "a model in ONNX Runtime's own format (.ort)",
        "no tool converts it back; give the ONNX model from which it was made", "",
        lambda content: content[4:8] == b"ORTM",
    ),
    ForeignFile(
        "a Git LFS pointer, which stands for a file that was not fetched",
        "fetch the file in its repository, with git-lfs installed", "git lfs pull",
        _starts_with(b"version https://git-lfs.github.com/spec/"),
    ),
    ForeignFile(
        "a page of a web site (HTML)",
        "the download saved a page instead of the file; download the file itself, on GitHub from its raw address",
        "curl -L -o model.onnx ADDRESS", _is_page,
    ),
    ForeignFile(
        "an array of NumPy (.npy, .npz)", "it holds samples, not a network; give it as the dataset",
        "--data samples.npz",
        lambda content: content.startswith(b"\x93NUMPY") or _zip_with(_has_only_arrays)(content),
    ),
    ForeignFile(
        "a picture", "it is a sample, not a network; give the folder of pictures as the dataset", "--data pictures",
        _is_picture,
    ),
    ForeignFile(
        "a zip archive", "unpack it, and give the network inside", "python -m zipfile -e archive.zip .",
        _starts_with(LOCAL_HEADER, b"PK\x05\x06"),
    ),
    ForeignFile(
        "a gzip archive (.gz, .tar.gz)", "unpack it (tar xzf for a .tar.gz), and give the network inside",
        "gunzip model.onnx.gz", _starts_with(b"\x1f\x8b"),
    ),
    ForeignFile("a tar archive", "unpack it, and give the network inside", "tar xf archive.tar", _is_tar),
)  # fmt: skip
"""Kinds of files that are not read; the first that matches counts, so that special kinds stand before general ones."""
