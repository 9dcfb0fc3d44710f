"""The function `emit`: write a trained network as C for a firmware project."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from api.cli.text.columns import plain
from api.cli.text.emission import emission_text
from api.operations.emission import EmittedC, emit_network, emit_result, write_result
from api.schemas.emission import EmissionAnswer
from api.schemas.reports import Artifact
from bitbudget._integers import InputSamples, codes_of_inputs
from deploy.deployment import Deployment
from deploy.integer_network import IntegerNetwork
from deploy.layouts.tree import Layout
from network.errors import RequestError


@dataclass(frozen=True, eq=False, repr=False)
class EmitResult:
    """Result of an emission: the bytes of a network in C, and its files; `print` shows it as text.

    Attributes:
        report: The bytes and the files; `report.model_dump_json()` is their JSON.
        folder: The folder with the files.
    """

    report: EmissionAnswer
    folder: Path
    _emitted: EmittedC
    _layout: Layout

    @property
    def files(self) -> Sequence[Artifact]:
        """Path in the folder, size in bytes and SHA-256 of each file."""
        return self.report.files

    def __str__(self) -> str:
        return plain(emission_text(self._emitted, self.folder, self._layout))

    def __repr__(self) -> str:
        report = self.report
        return (
            f"<EmitResult of {report.name}: {report.flash_bytes:,.0f} bytes of flash, arena of {report.arena_bytes:,} "
            f"bytes, files in {str(self.folder)!r}>"
        )


def emit(
    source: str | os.PathLike[str] | IntegerNetwork,
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    layout: str = Layout.ALL.value,
    samples: InputSamples | None = None,
) -> EmitResult:
    """Write a network as C99 with a self-test, an example, and the files that firmware build tools need.

    Args:
        source: The folder that `train` has written; or an integer-only network, from `convert` or `load`, whose layers
            then overwrite no inputs, and whose outputs stay real values of its tensors.
        folder: Folder for the files: new, or with an earlier emission, which is replaced unless it was changed.
        name: Name of the C files, and prefix of all that they define: lower-case letters, digits and underscores. None
            derives it from the name of the network.
        layout: Build tools whose files are written: "all", "cmake", "zephyr", "arduino", "platformio", or "flat" for
            the C files without folders.
        samples: Samples for the self-test of an integer-only network, as for `codes_of_inputs`; at most 10 are used.
            None takes pseudo-random codes. A folder has its own samples.

    Returns:
        The bytes of flash and RAM, and the files.

    Raises:
        IntegerFileError: If a file of the folder is missing or damaged.
        RequestError: If the name or the layout is not valid, or a file would be replaced that was not emitted.
        ConversionError: If a number of the network does not fit into the C structures.
        InvalidNetwork: If the network has no layer with weights.
        DatasetError: If the samples have another shape.
    """
    if layout not in {each.value for each in Layout}:
        raise RequestError(f"the layout {layout!r} is unknown; expected one of {', '.join(Layout)}")
    chosen = Layout(layout)
    if isinstance(source, IntegerNetwork):
        codes = None if samples is None else codes_of_inputs(source, samples)
        emitted = emit_network(source, Deployment(), codes, name=name, layout=chosen)
    elif samples is not None:
        raise RequestError(
            "samples were given with a folder, which has its own; give them with an integer-only network"
        )
    else:
        emitted = emit_result(Path(source), name=name, layout=chosen)
    return EmitResult(write_result(emitted, Path(folder)), Path(folder), emitted, chosen)
