"""Benchmark of the readers of network files: what is read, what is refused, and what the read networks compute.

    python -m benchmarks.reading FOLDER [--json]

Every ONNX, TFLite and JSON file of the folder is read. A network that is read is compared with onnxruntime or LiteRT on
seeded random inputs, at the tensors at which the network ends: steps that the host computes are not part of it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from api.cli.files import read_network_file
from benchmarks.agreement import SAMPLES, SEED, outputs_of, share_of_range, snr_db
from benchmarks.eight_bits import own_signal_to_noise
from benchmarks.markdown import markdown
from benchmarks.reference import IncomparableFile
from benchmarks.run_options import json_option
from network.errors import ConversionError, InvalidNetwork, NetworkError, TrainingError
from network.joined_samples import joined_dims
from network.network import Network
from qat.data.dataset import Dataset, NoSamples
from qat.tasks.choice import choose_task

EXTENSIONS: Final = frozenset({".onnx", ".tflite", ".json"})


@dataclass(frozen=True, slots=True)
class Row:
    """Result of one network file.

    Attributes:
        file: Name of the file.
        is_read: Whether the file was read; else it was refused.
        seconds: Wall time of the reading or of the refusal, in seconds.
        refusal: Message of the refusal, with its causes; None for a file that was read.
        layers: Number of layers; None for a file that was refused.
        is_quantized: Whether the file is quantized; None if it was not compared.
        largest_difference: Largest difference between the float network and the runtime of a float file, as a share of
            the output's range; None for other files.
        snr_db: Signal-to-noise ratio in dB of the float network against the runtime of a quantized file, the lowest of
            its outputs; None for other files, and if the values are equal.
        uncomparable: Reason why a network that was read was not compared; None for other files.
        task: Task of the network on samples without targets; None for a file that was refused.
        eight_bit_snr_db: Signal-to-noise ratio in dB of the 8-bit integer-only network without training against the
            float network's own outputs; None if it was not measured, and if the values are equal.
    """

    file: str
    is_read: bool
    seconds: float
    refusal: str | None = None
    layers: int | None = None
    is_quantized: bool | None = None
    largest_difference: float | None = None
    snr_db: float | None = None
    uncomparable: str | None = None
    task: str | None = None
    eight_bit_snr_db: float | None = None


class FolderError(click.ClickException):
    """A folder that does not exist or that has no network files; the message is one line."""

    exit_code = 2


def network_files(folder: Path) -> list[Path]:
    """Return the files of a folder whose names have an extension of a network format, sorted by name.

    Raises:
        FolderError: If the folder cannot be listed, or if it has no such files.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in EXTENSIONS and path.is_file())
    except OSError as error:
        raise FolderError(
            f"cannot list the folder '{folder}': {error.strerror}; expected a folder of networks"
        ) from None
    if not files:
        raise FolderError(f"the folder '{folder}' has no files with the extension .onnx, .tflite or .json")
    return files


def row_of(path: Path) -> Row:
    """Read one network file, and compare the network with the runtime of its format."""
    started = time.perf_counter()
    try:
        network, _ = read_network_file(str(path))
    except NetworkError as error:
        return Row(path.name, is_read=False, seconds=time.perf_counter() - started, refusal=str(error))
    seconds = time.perf_counter() - started
    quality = _quality(network)
    return Row(
        path.name, is_read=True, seconds=seconds, layers=len(network.layers), **_agreement(network, path), **quality
    )


def _quality(network: Network) -> dict[str, Any]:
    """Return the fields of a row that state the task, and the quality at 8 bits without training."""
    samples = np.zeros((2, *joined_dims(network.inputs)), dtype=np.float32)
    nothing = NoSamples(samples.dtype, samples.shape[1:])
    task = str(choose_task(network, Dataset("", samples, None, nothing, None)).kind)
    if not network.has_weights:
        return {"task": task}
    try:
        ratio = own_signal_to_noise(network)
    except (ConversionError, InvalidNetwork, TrainingError):
        return {"task": task}
    return {"task": task, "eight_bit_snr_db": ratio if math.isfinite(ratio) else None}


def _agreement(network: Network, path: Path) -> dict[str, Any]:
    """Return the fields of a row that state how the network agrees with the runtime of its file."""
    try:
        is_quantized, pairs = outputs_of(network, path)
    except IncomparableFile as reason:
        return {"uncomparable": str(reason)}
    if not is_quantized:
        return {"is_quantized": False, "largest_difference": max(share_of_range(*each) for each in pairs)}
    lowest = min(snr_db(*each) for each in pairs)
    return {"is_quantized": True, "snr_db": lowest if math.isfinite(lowest) else None}


def result_of(folder: Path) -> dict[str, Any]:
    """Return the rows of all network files of a folder, and the numbers of files by result.

    Raises:
        FolderError: If the folder cannot be listed, or if it has no network files.
    """
    rows = [row_of(path) for path in network_files(folder)]
    return {
        "samples": SAMPLES,
        "seed": SEED,
        "rows": [asdict(row) for row in rows],
        "read": sum(row.is_read for row in rows),
        "refused": sum(not row.is_read for row in rows),
        "uncomparable": sum(row.uncomparable is not None for row in rows),
    }


def _agreement_cell(row: Mapping[str, Any]) -> str:
    if row["largest_difference"] is not None:
        return f"difference {row['largest_difference']:.1e}"
    if row["snr_db"] is not None:
        return f"SNR {row['snr_db']:.1f} dB"
    if row["is_quantized"]:
        return "equal"
    return "not compared" if row["is_read"] else ""


def tables_of(result: Mapping[str, Any]) -> str:
    """Return the table of all files, the reasons of refusals and of missing comparisons, and the numbers of files."""
    lines = [
        (
            row["file"],
            "read" if row["is_read"] else "refused",
            f"{row['seconds']:.3f}",
            "" if row["layers"] is None else f"{row['layers']}",
            _agreement_cell(row),
            row["task"] or "",
            "" if row["eight_bit_snr_db"] is None else f"{row['eight_bit_snr_db']:.1f} dB",
        )
        for row in result["rows"]
    ]
    reasons = [
        f"{row['file']} {what}: {row[field]}"
        for field, what in (("refusal", "refused"), ("uncomparable", "not compared"))
        for row in result["rows"]
        if row[field] is not None
    ]
    counts = f"read: {result['read']}; refused: {result['refused']}; read but not compared: {result['uncomparable']}"
    table = markdown(("file", "result", "seconds", "layers", "agreement", "task", "SNR at 8 bits"), lines)
    return "\n\n".join([table, *(["\n".join(reasons)] if reasons else []), counts])


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def main(*, folder: Path, as_json: bool) -> None:
    """Read every network file of FOLDER, and compare the networks with onnxruntime or LiteRT."""
    result = result_of(folder)
    click.echo(json.dumps(result, allow_nan=False) if as_json else tables_of(result))


if __name__ == "__main__":
    main()
