"""Saving and loading of the files of an integer-only network; `docs/integer-network.md` specifies the files.

    network.json           the layers, the tensors, and the name of each array
    weights.safetensors    packed weights, zero points, multipliers, offsets: the content of a chip's flash
    memory.json            the memory report, if the caller gives one; `load` does not read it

Files of versions 1 to 3 are read, too. The same network always gives the same bytes. Each file is written atomically.
`network.json` is written last and holds the SHA-256 of the weights, so `load` rejects files that come from two
different calls of `save`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import safetensors
import safetensors.numpy

from deploy.atomic_write import write_atomically
from deploy.consistency import check_consistency
from deploy.description import describe
from deploy.description_reading import check_version, read_description
from deploy.description_weights import NARROW_VERSION, Arrays
from deploy.integer_network import IntegerNetwork
from deploy.json_comparison import first_difference
from network.errors import ConversionError, IntegerFileError
from network.json_reading.fields import Fields, load_object

DESCRIPTION_FILE: Final = "network.json"
WEIGHTS_FILE: Final = "weights.safetensors"
MEMORY_FILE: Final = "memory.json"

MAX_DESCRIPTION_BYTES: Final = 64 * 2**20
MAX_WEIGHT_FILE_BYTES: Final = 256 * 2**20
"""Largest size in bytes of a weights file that is read: more than the flash of any microcontroller."""

_LINE_WIDTH: Final = 120


def save(network: IntegerNetwork, directory: Path, *, memory: Mapping[str, Any] | None = None) -> list[str]:
    """Write the files of an integer-only network to a directory, and replace the files of an earlier `save` there.

    Args:
        network: The network to save. It is checked before anything is written.
        directory: The existing directory that receives the files.
        memory: The memory report as JSON values. If it is None, a report from an earlier call is removed.

    Returns:
        The names of the written files, sorted.

    Raises:
        ConversionError: if the network is inconsistent, an accumulator could overflow, or the weights file would exceed
            `MAX_WEIGHT_FILE_BYTES`. Nothing is written then.
        OSError: if a file cannot be written.
    """
    files = contents(network)
    if memory is None:
        (directory / MEMORY_FILE).unlink(missing_ok=True)
    else:
        files = {MEMORY_FILE: _json_text(memory), **files}
    for name, content in files.items():
        write_atomically(directory / name, content)
    return sorted(files)


def contents(network: IntegerNetwork) -> dict[str, bytes]:
    """Return the content of each file that `save` writes without a memory report, by its name; network.json is last.

    Raises:
        ConversionError: if the network is inconsistent, an accumulator could overflow, or the weights file would exceed
            `MAX_WEIGHT_FILE_BYTES`.
    """
    check_consistency(network)
    description, arrays = describe(network)
    weights = safetensors.numpy.save(arrays)
    if len(weights) > MAX_WEIGHT_FILE_BYTES:
        raise ConversionError(
            f"network '{network.name}' needs a weights file of {len(weights)} bytes; expected at most "
            f"{MAX_WEIGHT_FILE_BYTES} bytes"
        )
    description["weights_file"] = _weights_file(weights)
    return {WEIGHTS_FILE: weights, DESCRIPTION_FILE: _json_text(description)}


def load(directory: Path) -> IntegerNetwork:
    """Read the integer-only network that `save` wrote to a directory, and check that it is consistent.

    The files may come from an untrusted source: sizes are checked before a file is read, and every field that follows
    from other fields is computed again and compared.

    Args:
        directory: The directory that holds `network.json` and `weights.safetensors`.

    Raises:
        IntegerFileError: if a file is missing, damaged, of an unknown version, or inconsistent. The message names the
            file and the field.
    """
    where = DESCRIPTION_FILE
    content = load_object(_read(directory / DESCRIPTION_FILE, MAX_DESCRIPTION_BYTES), where, IntegerFileError)
    fields = Fields(content, where, error=IntegerFileError)
    is_old = check_version(fields) < NARROW_VERSION
    weights = _read(directory / WEIGHTS_FILE, MAX_WEIGHT_FILE_BYTES)
    difference = first_difference(_weights_file(weights), fields.raw("weights_file"), f"{where}: weights_file")
    if difference is not None:
        raise IntegerFileError(
            f"{WEIGHTS_FILE} is not the file with which {where} was saved ({difference}); expected the two files of "
            "one saved network"
        )
    arrays = _arrays(weights)
    network = read_description(fields, arrays)
    try:
        check_consistency(network)
        description, described_arrays = describe(network, as_old=is_old)
    except ConversionError as error:
        raise IntegerFileError(f"{where} is inconsistent: {error}") from error
    # "arithmetic" is prose: its wording may change without a new version of the format.
    compared = {**content, "arithmetic": description["arithmetic"]}
    difference = first_difference({**description, "weights_file": content["weights_file"]}, compared, where)
    if difference is not None:
        raise IntegerFileError(f"{where} is inconsistent: {difference}")
    if arrays.keys() != described_arrays.keys():
        raise IntegerFileError(f"{WEIGHTS_FILE} holds arrays that {where} does not name; save the network again")
    return network


def _weights_file(weights: bytes) -> dict[str, Any]:
    return {"name": WEIGHTS_FILE, "bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}


def _arrays(weights: bytes) -> Arrays:
    try:
        return safetensors.numpy.load(weights)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise IntegerFileError(
            f"{WEIGHTS_FILE} is not a valid safetensors file of integers ({error}); save the network again"
        ) from error


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        if not path.is_file():
            raise IntegerFileError(
                f"the directory of the integer-only network has no file {path.name}; expected {DESCRIPTION_FILE} and "
                f"{WEIGHTS_FILE}"
            )
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > max_bytes:
                raise IntegerFileError(
                    f"the file {path.name} has {size_bytes} bytes; expected at most {max_bytes} bytes for a "
                    "microcontroller's network"
                )
            return file.read(size_bytes)
    except OSError as error:
        raise IntegerFileError(
            f"the file {path.name} cannot be read: {error.strerror}; expected a readable file"
        ) from error


def _json_text(value: Mapping[str, Any]) -> bytes:
    return (_formatted(dict(value), "") + "\n").encode("ascii")


def _formatted(value: object, indent: str) -> str:
    """Return a JSON value as text; each value that fits on one line, and each list of numbers, is on one line."""
    line = json.dumps(value, allow_nan=False)
    if len(indent) + len(line) <= _LINE_WIDTH:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = (f"{deeper}{json.dumps(name)}: {_formatted(element, deeper)}" for name, element in value.items())
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(element, dict | list | str) for element in value):
        return "[\n" + ",\n".join(deeper + _formatted(element, deeper) for element in value) + f"\n{indent}]"
    return line
