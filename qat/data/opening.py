"""Detection of a dataset's format from its content, and the function that opens it. Imports no torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from network.errors import DatasetError
from qat.data.cifar import is_cifar, open_cifar, open_cifar_archive
from qat.data.dataset import Dataset
from qat.data.files import entries, opened
from qat.data.folder_layout import MAX_WRAPPERS
from qat.data.folders import holds_folders, open_folders
from qat.data.idx import idx_files, open_idx
from qat.data.names import printable, reason_of
from qat.data.npy import holds_arrays, open_arrays
from qat.data.npz import DEFAULT_MAX_BYTES, read_npz
from qat.data.paired_folders import open_pairs
from qat.data.pairing import find_pairs
from qat.data.parts import part_of_name
from qat.data.webdataset import open_shards

SUPPORTED_FORMATS: Final = (
    "an .npz, a .parquet or a .tar (WebDataset), CIFAR's .tar.gz, or a directory of image folders "
    "(train/CLASS/*.jpg, or images/*.jpg and masks/*.png), .parquet files, .tar shards, .npy files (train_x.npy, ...), "
    "CIFAR's .bin files or MNIST's idx files"
)
_ZIP, _GZIP, _PARQUET = b"PK", b"\x1f\x8b", b"PAR1"
_TAR_MAGIC: Final = slice(257, 262)
_TAR_BLOCK_BYTES: Final = 512
_MAX_WRAPPED: Final = 8
"""Largest number of folders next to one another that are searched for array files; more are classes of images."""


def open_dataset(path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Dataset:
    """Open the dataset in a file or a directory. Its name is the name of the file or directory.

    Args:
        path: A file or a directory. If the path itself is a symbolic link, it is followed; links below it are not.
        max_bytes: Largest size in bytes of arrays that must be in memory (compressed arrays, labels).

    Raises:
        DatasetError: if the path does not exist, its format is not supported, or a file is damaged.
    """
    try:
        real = path.resolve(strict=True)
    except FileNotFoundError:
        raise DatasetError(
            f"there is no file '{printable(str(path))}' and no directory of that name; expected {SUPPORTED_FORMATS}"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise DatasetError(f"cannot read '{printable(str(path))}': {reason_of(error)}") from None
    return _of_directory(real, max_bytes) if real.is_dir() else _of_file(real, max_bytes)


def open_file(path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Dataset:
    """Open the dataset in an uploaded file: an `.npz`, a `.parquet` or a `.tar`, recognised by its content.

    Args:
        path: The file.
        max_bytes: Largest size in bytes of arrays that must be in memory.

    Raises:
        DatasetError: if the file has another format or is damaged.
    """
    with opened(path) as file:
        start = file.read(_TAR_BLOCK_BYTES)
    suffix = path.suffix.lower()
    if start.startswith(_PARQUET) or suffix == ".parquet":
        from qat.data.parquet import open_parquet  # pyarrow is slow to import

        return open_parquet([path], None, path.stem)
    if start[_TAR_MAGIC] == b"ustar" or suffix == ".tar":
        return open_shards([path], None, path.stem)
    return read_npz(path, max_bytes=max_bytes)


def _of_file(path: Path, max_bytes: int) -> Dataset:
    with opened(path) as file:
        start = file.read(4)
    if start.startswith(_GZIP):
        return open_cifar_archive(path, path.name.split(".")[0])
    if start.startswith(_ZIP) or start == _PARQUET or path.suffix.lower() in {".npz", ".parquet", ".tar"}:
        return open_file(path, max_bytes=max_bytes)
    raise DatasetError(f"'{printable(path.name)}' is not a dataset of a known format; expected {SUPPORTED_FORMATS}")


def _of_directory(root: Path, max_bytes: int) -> Dataset:
    name = root.name or "dataset"
    found = _folders_of_arrays(root, MAX_WRAPPERS)
    if len(found) > 1:
        folders = " and ".join(f"'{printable(each.relative_to(root).as_posix())}'" for each in found[:2])
        raise DatasetError(f"'{printable(name)}' holds several datasets, in {folders}; give the path of one of them")
    if not found:
        return _of_images(root, name)
    if holds_arrays(found[0]):
        return open_arrays(found[0], name, max_bytes)
    if idx_files(found[0]):
        return open_idx(found[0], name, max_bytes)
    return open_cifar(found[0], name)


def _folders_of_arrays(root: Path, depth: int) -> list[Path]:
    """Find the folders that contain .npy, idx or CIFAR files: the root, or folders that wrap them.

    torchvision leaves MNIST in `MNIST/raw`; CIFAR's archive contains the folder `cifar-10-batches-bin`.
    """
    listed = entries(root)
    if holds_arrays(root) or idx_files(root) or is_cifar([each.name for each in listed]):
        return [root]
    folders = [
        Path(each.path) for each in listed if each.is_dir(follow_symlinks=False) and part_of_name(each.name) is None
    ]
    if not depth or len(folders) > _MAX_WRAPPED:
        return []
    return [found for folder in folders for found in _folders_of_arrays(folder, depth - 1)]


def _of_images(root: Path, name: str) -> Dataset:
    if files := _files(root, ".parquet"):
        from qat.data.parquet import open_parquet

        return open_parquet(files, root, name)
    if files := _files(root, ".tar"):
        return open_shards(files, root, name)
    if holds_folders(root):
        pairs = find_pairs(root)
        if pairs is not None:
            return open_pairs(root, name, pairs)
        return open_folders(root, name)
    raise DatasetError(f"'{printable(name)}' is not a dataset of a known format; expected {SUPPORTED_FORMATS}")


def _files(root: Path, suffix: str) -> list[Path]:
    """Find files by their suffix in a directory, else in its folders such as `data`, `train` or `default/train`."""
    listed = entries(root)
    folders = [each for each in listed if each.is_dir(follow_symlinks=False)]
    found = _of_suffix(listed, suffix)
    for folder in folders if not found else ():
        inner = entries(Path(folder.path))
        found += _of_suffix(inner, suffix)
        if part_of_name(folder.name) is None:  # `train` of an image tree contains class folders, which are not searched
            for each in inner:
                if part_of_name(each.name) is not None and each.is_dir(follow_symlinks=False):
                    found += _of_suffix(entries(Path(each.path)), suffix)
    return found


def _of_suffix(listed: list[os.DirEntry[str]], suffix: str) -> list[Path]:
    return [Path(each.path) for each in listed if each.name.lower().endswith(suffix) and each.is_file()]
