"""Files of other formats: each is named, with the way to a file that is read; docs/formats.md lists the same table."""

from __future__ import annotations

import gzip
import importlib.util
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.errors import BitbudgetError, UnreadableFile
from network.foreign_files import FOREIGN_FILES, foreign_file
from network.layers import Convolution
from network.reading import read_network
from network.zip_members import MAX_MEMBERS, member_names
from tests.network.onnx_reading.onnx_models import model, node, random

ROOT = Path(__file__).parents[2]
NETWORKS = ROOT.parent / "shared" / "networks"
PAGE = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
ONNX = model([node("Conv", "x w", "y")], constants={"w": random(4, 3, 3, 3)}).SerializeToString()


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("model.onnx")
        member.size = len(ONNX)
        archive.addfile(member, io.BytesIO(ONNX))
    return file.getvalue()


def saved(array: npt.NDArray[np.float64], *, as_npz: bool) -> bytes:
    file = io.BytesIO()
    if as_npz:
        np.savez(file, x=array)
    else:
        np.save(file, array)
    return file.getvalue()


HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(40)
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n".encode()
SAFETENSORS_HEADER = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
BITMAP = b"BM" + struct.pack("<I", 60) + bytes(54)

# content, and text that the message contains
FILES: dict[str, tuple[bytes, str]] = {
    "Keras in HDF5": (HDF5 + b'model_config{"class_name": "Sequential"}', "--keras model.h5"),
    "weights in HDF5": (HDF5 + b"layer_names", "without an architecture"),
    "Keras": (zipped("metadata.json", "config.json", "model.weights.h5"), "--keras model.keras"),
    "exported program": (zipped("m/data/weights/weight_0", "m/models/model.json", "m/data.pkl"), "torch.export.load"),
    "older exported program": (zipped("serialized_exported_program.json", "version"), "torch.export.load"),
    "TorchScript": (zipped("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl"), "torch.jit.load"),
    "checkpoint": (zipped("m/data.pkl", "m/byteorder", "m/data/0"), "is a pickle and is not opened"),
    "legacy checkpoint": (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02", "load_state_dict"),
    "truncated checkpoint": (zipped("m/data.pkl", "m/data/0")[:60], "load_state_dict"),
    "safetensors": (struct.pack("<Q", len(SAFETENSORS_HEADER)) + SAFETENSORS_HEADER + bytes(4), "load_model"),
    "pickle": (pickle.dumps({"scikit": "learn"}), "can run any code"),
    "SavedModel": (b"\x08\x01\x12\xb9\x8f\x02\x0a\xb5\x14\x12" + bytes(30), "--saved-model saved"),
    "frozen graph": (b"\x0a\x43\x0a\x01x\x12\x0bPlaceholder" + bytes(60), "--graphdef model.pb"),
    "ESP-DL": (b"EDL2" + bytes(60), "ESP-PPQ"),
    "ESP-DL, packed": (b"PDL1" + bytes(60), "ESP-PPQ"),
    "ONNX Runtime": (struct.pack("<I", 28) + b"ORTM" + bytes(60), "from which it was made"),
    "Git LFS": (POINTER, "git lfs pull"),
    "page": (b"\n<!DOCTYPE html>\n<html><head></head></html>", "curl -L -o model.onnx"),
    "XHTML": (b'\xef\xbb\xbf<?xml version="1.0"?>\n<html xmlns="">', "curl -L -o model.onnx"),
    "array": (saved(np.zeros(3), as_npz=False), "holds samples"),
    "arrays": (saved(np.zeros(3), as_npz=True), "--data samples.npz"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(60), "--data pictures"),
    "JPEG": (b"\xff\xd8\xff\xe0" + bytes(60), "--data pictures"),
    "WebP": (b"RIFF" + bytes(4) + b"WEBP" + bytes(60), "--data pictures"),
    "bitmap": (BITMAP, "--data pictures"),
    "zip": (zipped("model.onnx", "read.me"), "zipfile -e"),
    "empty zip": (zipped(), "zipfile -e"),
    "gzip": (gzip.compress(ONNX), "gunzip"),
    "tar": (tarred(), "tar xf"),
    "nothing": (b"", "is empty"),
    "spaces": (b" \n\t ", "is empty"),
}


@pytest.mark.parametrize("kind", FILES)
def test_each_kind_is_named_with_the_way_out(kind: str) -> None:
    content, said = FILES[kind]
    with pytest.raises(UnreadableFile) as caught:
        read_network(content, kind)
    assert said in str(caught.value)
    assert str(caught.value).isprintable()
    assert "expected an ONNX model or a JSON description" in str(caught.value)


def test_every_row_of_the_table_has_an_example() -> None:
    assert {foreign_file(content) for content, _ in FILES.values()} == {*FOREIGN_FILES, None}


def test_the_page_lists_the_table() -> None:
    for kind in FOREIGN_FILES:
        command = f" `{kind.command}`" if kind.command else ""
        assert f"| {kind.what} | {kind.advice}:{command} |".replace(": |", " |") in PAGE


def test_networks_are_not_taken_for_other_files() -> None:
    assert foreign_file(ONNX) is None
    assert foreign_file(b"\x20\0\0\0TFL3" + bytes(60)) is None
    for path in (*NETWORKS.glob("*.onnx"), *NETWORKS.glob("*.tflite"), *NETWORKS.glob("minimal/[!l]*.onnx")):
        assert foreign_file(path.read_bytes()) is None, path


@pytest.mark.skipif(not NETWORKS.is_dir(), reason="the published networks are beside the project")
def test_published_pointer() -> None:
    with pytest.raises(UnreadableFile, match=r"Git LFS pointer.*git lfs pull"):
        read_network((NETWORKS / "minimal" / "lfs_pointer.onnx").read_bytes(), "pointer")


@pytest.mark.parametrize(
    ("name", "content"),
    [("archive.zip", None), ("model.onnx.gz", gzip.compress(ONNX)), ("archive.tar", tarred())],
)
def test_commands_that_unpack(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("model.onnx", ONNX)
    else:
        path.write_bytes(content)
    run(path.read_bytes(), tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == ONNX


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_command_for_torchscript(tmp_path: Path) -> None:
    script = "import torch; torch.jit.script(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))).save('model.pt')"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    run((tmp_path / "model.pt").read_bytes(), tmp_path)
    (layer,) = read_network((tmp_path / "model.onnx").read_bytes(), "script").layers
    assert isinstance(layer, Convolution)
    assert layer.weight is not None
    assert layer.weight.shape == (4, 3, 3, 3)


def run(content: bytes, folder: Path) -> None:
    """Run the command that the table gives for a file, in the folder of the file."""
    kind = foreign_file(content)
    assert kind is not None
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["/bin/sh", "-c", kind.command], cwd=folder, check=True, capture_output=True, env={**os.environ, "PATH": path}
    )


def test_names_of_a_huge_or_damaged_archive_are_bounded() -> None:
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHH", 1, 0, 0) + bytes(12) + b"a"
    end = b"PK\x05\x06" + bytes(12) + struct.pack("<I", 4) + bytes(2)
    huge = b"PK\x03\x04" + entry * 200_000 + end
    began = time.perf_counter()
    assert member_names(huge) == ("a",) * MAX_MEMBERS
    assert time.perf_counter() - began < 0.5
    whole = zipped("one", "two")
    assert member_names(whole) == ("one", "two")
    for kept in range(len(whole)):
        assert set(member_names(whole[:kept])) <= {"one", "two", "on", "o", ""}


SEEDS = [content for content, _ in FILES.values()]


@settings(max_examples=500, deadline=1000)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=4)), max_size=4),
    st.floats(0, 1),
)
def test_changed_files_raise_our_error_alone(content: bytes, changes: list[tuple[float, bytes]], kept: float) -> None:
    changed = bytearray(content)
    for place, put in changes:
        at = int(place * len(changed))
        changed[at : at + len(put)] = put
    with pytest.raises(BitbudgetError):
        read_network(bytes(changed[: int(kept * len(changed)) + 1]), "changed")


@settings(max_examples=300, deadline=1000)
@given(st.sampled_from(SEEDS), st.binary(max_size=400))
def test_beginnings_of_known_files_before_noise(content: bytes, noise: bytes) -> None:
    with pytest.raises(BitbudgetError):
        read_network(content[:12] + noise, "noise")
