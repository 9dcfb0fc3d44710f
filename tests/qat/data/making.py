"""Writers of small real datasets in every format, all from the same samples."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from network.layers import RELU, Convolution, FullyConnected, Shape
from network.network import Network
from network.network_input import InputFormat
from tests.builders import network_of

Bytes = npt.NDArray[np.uint8]
CLASSES = 3
NAMES = ("ant", "bee", "cow")


@dataclass(frozen=True)
class Images:
    """Images uint8 [n, side, side, channels] and their classes int64 [n], which are written to the files."""

    train_x: Bytes
    train_y: npt.NDArray[np.int64]
    test_x: Bytes
    test_y: npt.NDArray[np.int64]

    @property
    def parts(self) -> tuple[tuple[str, Bytes, npt.NDArray[np.int64]], ...]:
        return ("train", self.train_x, self.train_y), ("test", self.test_x, self.test_y)


def images(side: int = 8, channels: int = 3, train: int = 24, test: int = 6, seed: int = 0) -> Images:
    """Return random images sorted by class, so that formats that sort by class keep their order."""
    rng = np.random.default_rng(seed)

    def some(count: int) -> Bytes:
        return rng.integers(0, 256, (count, side, side, channels), dtype=np.uint8)

    return Images(some(train), np.arange(train) * CLASSES // train, some(test), np.arange(test) * CLASSES // test)


def network_for(side: int = 8, channels: int = 3, *, channels_last: bool = False) -> Network:
    """Return a network that reads the images and normalises them."""
    rng = np.random.default_rng(3)
    whole = network_of(
        [
            Convolution(
                name="first",
                inputs=("input",),
                output="first",
                activation=RELU,
                output_channels=4,
                kernel=(side, side),
                weight=rng.standard_normal((4, channels, side, side)).astype(np.float32),
            ),
            FullyConnected(
                name="last",
                inputs=("first",),
                output="scores",
                output_channels=CLASSES,
                weight=rng.standard_normal((CLASSES, 4)).astype(np.float32),
            ),
        ],
        Shape(channels, side, side),
    )
    dims = (side, side, channels) if channels_last else (channels, side, side)
    form = InputFormat(dims, channels_last, (127.0,), (1 / 128,))
    return replace(whole, name="small", inputs=(replace(whole.only_input, format=form),))


def encoded(pixels: Bytes, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, kind)
    return buffer.getvalue()


def folders(root: Path, samples: Images, test_folder: str = "val") -> Path:
    for part, x, y in samples.parts:
        for index, (pixels, label) in enumerate(zip(x, y, strict=True)):
            place = root / (part if part == "train" else test_folder) / NAMES[label] / f"{index:04d}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(encoded(pixels))
    (root / "train" / ".DS_Store").write_bytes(b"hidden")
    (root / "train" / "ant" / "notes.txt").write_text("no image")
    return root


def tar_of(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def shard_members(x: Bytes, y: npt.NDArray[np.int64], prefix: str = "") -> list[tuple[str, bytes]]:
    """Return the files of a shard; a third of the classes are in .json files, the others in .cls files."""
    members = []
    for index, (pixels, label) in enumerate(zip(x, y, strict=True)):
        key = f"{prefix}{index:05d}"
        in_json = (f"{key}.json", json.dumps({"label": int(label), "by": "us"}).encode())
        members += [(f"{key}.png", encoded(pixels)), in_json if index % 3 == 0 else (f"{key}.cls", b"%d" % label)]
    return members


def shards(root: Path, samples: Images) -> Path:
    """Write the training set to three archives and the test set to one."""
    for number, some in enumerate(np.array_split(np.arange(len(samples.train_x)), 3)):
        tar_of(root / f"pets-train-{number:06d}.tar", shard_members(samples.train_x[some], samples.train_y[some]))
    tar_of(root / "pets-val-000000.tar", shard_members(samples.test_x, samples.test_y))
    return root


def one_shard(root: Path, samples: Images) -> Path:
    members = shard_members(samples.train_x, samples.train_y, "train/")
    return tar_of(root / "pets.tar", members + shard_members(samples.test_x, samples.test_y, "test/"))


def table(x: Bytes, y: Iterable[int | None], *, as_bytes: bool = False) -> pa.Table:
    contents = [encoded(pixels) for pixels in x]
    form = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": each, "path": "/etc/passwd"} for each in contents]
    image = pa.array(contents, pa.binary()) if as_bytes else pa.array(rows, form)
    return pa.table({"id": pa.array(range(len(x))), "image": image, "label": pa.array(y, pa.int64())})


def parquet(root: Path, samples: Images, *, as_bytes: bool = False) -> Path:
    for part, x, y in samples.parts:
        place = root / "data" / f"{'train' if part == 'train' else 'validation'}-00000-of-00001.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(x, y.tolist(), as_bytes=as_bytes), place, row_group_size=5)
    return root


def idx(root: Path, samples: Images, *, packed: bool = False) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for part, x, y in samples.parts:
        prefix = "train" if part == "train" else "t10k"
        grey = x[..., 0] if x.shape[3] == 1 else x
        for what, values in (("images", grey), ("labels", y.astype(np.uint8))):
            content = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
            name = f"{prefix}-{what}-idx{values.ndim}-ubyte"
            (root / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return root


def torchvision_idx(root: Path, samples: Images) -> Path:
    """Write the files as torchvision leaves them: packed and unpacked ones side by side, in `MNIST/raw`."""
    idx(root / "MNIST" / "raw", samples, packed=True)
    idx(root / "MNIST" / "raw", samples)
    (root / "MNIST" / "processed").mkdir()
    (root / "MNIST" / "processed" / "training.pt").write_bytes(b"a pickle that is not read")
    return root


def cifar_records(x: Bytes, y: npt.NDArray[np.int64], label_bytes: int) -> bytes:
    """Return CIFAR's records; with two label bytes, the first is the coarse label, which the reader ignores."""
    planes = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    return np.hstack([y.astype(np.uint8)[:, None], planes] if label_bytes == 1 else
                     [np.full((len(x), 1), 77, np.uint8), y.astype(np.uint8)[:, None], planes]).tobytes()  # fmt: skip


def cifar_files(samples: Images, classes: int) -> dict[str, bytes]:
    half = len(samples.train_x) // 2
    if classes == 100:
        return {
            "train.bin": cifar_records(samples.train_x, samples.train_y, 2),
            "test.bin": cifar_records(samples.test_x, samples.test_y, 2),
        }
    return {
        "data_batch_1.bin": cifar_records(samples.train_x[:half], samples.train_y[:half], 1),
        "data_batch_2.bin": cifar_records(samples.train_x[half:], samples.train_y[half:], 1),
        "test_batch.bin": cifar_records(samples.test_x, samples.test_y, 1),
    }


def cifar(root: Path, samples: Images, classes: int = 10) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in cifar_files(samples, classes).items():
        (root / name).write_bytes(content)
    return root


def cifar_archive(root: Path, samples: Images) -> Path:
    path = root / "cifar-10-binary.tar.gz"
    plain = tar_of(
        root / "plain", [(f"cifar-10-batches-bin/{name}", each) for name, each in cifar_files(samples, 10).items()]
    )
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


def arrays(root: Path, samples: Images) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for part, x, y in samples.parts:
        np.save(root / f"{part}_x.npy", x)
        np.save(root / f"{part}_y.npy", y)
    return root


def npz(root: Path, samples: Images) -> Path:
    path = root / "pets.npz"
    np.savez(path, train_x=samples.train_x, train_y=samples.train_y, test_x=samples.test_x, test_y=samples.test_y)
    return path


FORMS: dict[str, Callable[[Path, Images], Path]] = {
    "folders": folders,
    "shards": shards,
    "one shard": one_shard,
    "parquet": parquet,
    "parquet of bytes": lambda root, samples: parquet(root, samples, as_bytes=True),
    "idx": idx,
    "idx as torchvision leaves it": torchvision_idx,
    "packed idx": lambda root, samples: idx(root, samples, packed=True),
    "cifar 10": cifar,
    "cifar 100": lambda root, samples: cifar(root, samples, 100),
    "cifar 10 below": lambda root, samples: cifar(root / "cifar-10-batches-bin", samples).parent,
    "cifar archive": cifar_archive,
    "npy": arrays,
    "npz": npz,
}
