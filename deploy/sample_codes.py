"""Input codes of a few samples in the file `vectors.npz` next to an integer-only network: real inputs of its self-test.

input0, input1, ...    codes of each input in the order of network.json, uint8 [n, height, width, channels]
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from deploy.arithmetic import CodeArray, top_code
from deploy.integer_network import IntegerNetwork
from network.errors import IntegerFileError

VECTORS_FILE: Final = "vectors.npz"
MAX_SAMPLES: Final = 100
"""Largest number of samples in the file."""

MAX_VECTORS_BYTES: Final = 2**20
"""Largest number of bytes of all codes together, unless one sample has more."""

MAX_TEST_SAMPLES: Final = 10
MAX_TEST_BYTES: Final = 8192
"""Largest number of samples, and of their bytes, in a self-test: they take flash of the chip while it is linked."""

_MAX_FILE_BYTES: Final = 256 * 2**20


def fitting_samples(network: IntegerNetwork, max_samples: int = MAX_SAMPLES, max_bytes: int = MAX_VECTORS_BYTES) -> int:
    """Return the number of samples of a network whose codes take at most a number of bytes, one or more.

    Args:
        network: The integer-only network.
        max_samples: Largest number of samples.
        max_bytes: Largest number of bytes; one sample may have more.
    """
    sample_bytes = sum(network.tensors[name].shape.elements for name in network.input_names)
    return min(max_samples, max(1, max_bytes // sample_bytes))


def codes_of_test(network: IntegerNetwork, codes: Mapping[str, CodeArray]) -> dict[str, CodeArray]:
    """Return the codes of the first samples, as many as a self-test on a chip gets.

    Args:
        network: The integer-only network.
        codes: Codes of one or more samples, uint8 [n, height, width, channels], by the name of the input.
    """
    count = fitting_samples(network, MAX_TEST_SAMPLES, MAX_TEST_BYTES)
    return {name: each[:count] for name, each in codes.items()}


def vectors_bytes(network: IntegerNetwork, codes: Mapping[str, CodeArray]) -> bytes:
    """Return the content of the file.

    Args:
        network: The integer-only network.
        codes: Codes of each input by its name.
    """
    buffer = io.BytesIO()
    arrays = {f"input{index}": codes[name] for index, name in enumerate(network.input_names)}
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # typed as if a key were allow_pickle
    return buffer.getvalue()


def read_vectors(directory: Path, network: IntegerNetwork) -> dict[str, CodeArray] | None:
    """Read the file of a directory, which may come from an untrusted source.

    Args:
        directory: The directory.
        network: The integer-only network of the directory.

    Returns:
        Input codes of one or more samples, uint8 [n, height, width, channels], by the name of the input. None if the
            directory has no such file.

    Raises:
        IntegerFileError: If the file is damaged, or does not belong to the network.
    """
    path = directory / VECTORS_FILE
    try:
        _check_size(path)
        with np.load(path, allow_pickle=False) as stored:
            codes = {name: stored[f"input{index}"] for index, name in enumerate(network.input_names)}
    except FileNotFoundError:
        return None
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise IntegerFileError(f"{VECTORS_FILE} is damaged ({error}); delete it, or train the network again") from error
    counts = {len(each) if each.ndim else 0 for each in codes.values()}
    if len(counts) != 1 or not 1 <= min(counts) <= MAX_SAMPLES:
        raise IntegerFileError(
            f"{VECTORS_FILE} has {sorted(counts)} samples; expected 1 to {MAX_SAMPLES} of each input"
        )
    for name, each in codes.items():
        tensor = network.tensors[name]
        extents = (tensor.shape.height, tensor.shape.width, tensor.shape.channels)
        if each.dtype != np.uint8 or each.shape[1:] != extents or int(each.max()) > top_code(tensor.bits):
            raise IntegerFileError(
                f"{VECTORS_FILE} has codes of type {each.dtype} and shape {list(each.shape)} for input '{name}'; "
                f"expected uint8 [n, {', '.join(map(str, extents))}] up to {top_code(tensor.bits)}"
            )
    return codes


def _check_size(path: Path) -> None:
    """Reject a file whose arrays are larger than any that this module writes, before they are read."""
    with zipfile.ZipFile(path) as archive:
        size_bytes = sum(each.file_size for each in archive.infolist())
    if size_bytes > _MAX_FILE_BYTES:
        raise ValueError(f"{size_bytes} bytes of arrays")
