"""The files that an integer-only network is saved to; docs/integer-network.md is their manual.

    network.json           what every layer does, and where its arrays are
    weights.safetensors    packed weights, zero points, biases, multipliers, shifts: what a chip keeps in flash
    memory.json            the memory report, if the caller has one; nothing reads it back

The same network gives the same bytes. Each file appears whole or not at all, and `network.json`, which comes last,
states the SHA-256 of the weights: a mixture of two savings is refused.
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

from deploy.consistency import check_consistency
from deploy.description import Arrays, describe
from deploy.description_reading import check_version, read_description
from deploy.fields import Fields, first_difference, parse_json
from deploy.integer_network import IntegerNetwork
from network.errors import ConversionError, IntegerFileError

DESCRIPTION_FILE: Final = "network.json"
WEIGHTS_FILE: Final = "weights.safetensors"
MEMORY_FILE: Final = "memory.json"

MAX_DESCRIPTION_BYTES: Final = 64 * 2**20
MAX_WEIGHT_FILE_BYTES: Final = 256 * 2**20
"""Beyond any microcontroller's flash; nothing larger is read into memory."""

_LINE_WIDTH: Final = 120


def save(network: IntegerNetwork, directory: Path, *, memory: Mapping[str, Any] | None = None) -> list[str]:
    """Writes the network's files into an existing directory, over those of an earlier saving.

    Args:
        network: what to save; it is checked first.
        directory: where to.
        memory: the memory report, as JSON values; without one, a report that an earlier saving left is removed.

    Returns:
        The names of the files.

    Raises:
        ConversionError: the network contradicts itself, or a sum could overflow; nothing is written.
    """
    check_consistency(network)
    description, arrays = describe(network)
    weights = safetensors.numpy.save(arrays)
    if len(weights) > MAX_WEIGHT_FILE_BYTES:
        raise ConversionError(
            f"network '{network.name}' takes {len(weights)} bytes of weights; at most {MAX_WEIGHT_FILE_BYTES} are saved"
        )
    description["weights_file"] = _weights_file(weights)
    files = {WEIGHTS_FILE: weights, DESCRIPTION_FILE: _json_text(description)}
    if memory is None:
        (directory / MEMORY_FILE).unlink(missing_ok=True)
    else:
        files = {MEMORY_FILE: _json_text(memory), **files}
    for name, content in files.items():
        _write_whole(directory / name, content)
    return sorted(files)


def load(directory: Path) -> IntegerNetwork:
    """The network that `save` wrote; nothing in the files is trusted.

    Sizes are checked before anything is read, and every derived field is derived again and compared.

    Raises:
        IntegerFileError: a file is missing, damaged, of an unknown version, or contradicts itself; says where.
    """
    where = DESCRIPTION_FILE
    content = parse_json(_read(directory / DESCRIPTION_FILE, MAX_DESCRIPTION_BYTES), where)
    fields = Fields(content, where)
    check_version(fields)
    weights = _read(directory / WEIGHTS_FILE, MAX_WEIGHT_FILE_BYTES)
    difference = first_difference(_weights_file(weights), fields.value("weights_file"), f"{where}: weights_file")
    if difference is not None:
        raise IntegerFileError(f"{WEIGHTS_FILE} is not the file that {where} was saved with: {difference}")
    arrays = _arrays(weights)
    network = read_description(fields, arrays)
    try:
        check_consistency(network)
        description, described_arrays = describe(network)
    except ConversionError as error:
        raise IntegerFileError(f"{where} contradicts itself: {error}") from error
    # The wording of the arithmetic may be improved without a new version.
    compared = {**content, "arithmetic": description["arithmetic"]}
    difference = first_difference({**description, "weights_file": content["weights_file"]}, compared, where)
    if difference is not None:
        raise IntegerFileError(f"{where} contradicts itself: {difference}")
    if arrays.keys() != described_arrays.keys():
        raise IntegerFileError(f"{WEIGHTS_FILE} holds arrays that {where} does not name")
    return network


def _weights_file(weights: bytes) -> dict[str, Any]:
    return {"name": WEIGHTS_FILE, "bytes": len(weights), "sha256": hashlib.sha256(weights).hexdigest()}


def _arrays(weights: bytes) -> Arrays:
    try:
        return safetensors.numpy.load(weights)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise IntegerFileError(f"{WEIGHTS_FILE} is no safetensors file of integers: {error}") from error


def _read(path: Path, most_bytes: int) -> bytes:
    try:
        if not path.is_file():
            raise IntegerFileError(f"there is no file {path.name}; expected {DESCRIPTION_FILE} and {WEIGHTS_FILE}")
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > most_bytes:
                raise IntegerFileError(
                    f"{path.name} has {size_bytes} bytes; a network for a microcontroller has at most {most_bytes}"
                )
            return file.read(size_bytes)
    except OSError as error:
        raise IntegerFileError(f"{path.name} cannot be read: {error.strerror}") from error


def _write_whole(path: Path, content: bytes) -> None:
    """Under another name first, so that whoever reads `path` finds the old file or the new one, never a part."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _json_text(value: Mapping[str, Any]) -> bytes:
    return (_laid_out(dict(value), "") + "\n").encode("ascii")


def _laid_out(value: object, indent: str) -> str:
    """JSON text in which whatever fits on a line, or is a list of numbers, is on one line."""
    line = json.dumps(value, allow_nan=False)
    if len(indent) + len(line) <= _LINE_WIDTH:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = (f"{deeper}{json.dumps(name)}: {_laid_out(element, deeper)}" for name, element in value.items())
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(element, dict | list | str) for element in value):
        return "[\n" + ",\n".join(deeper + _laid_out(element, deeper) for element in value) + f"\n{indent}]"
    return line
