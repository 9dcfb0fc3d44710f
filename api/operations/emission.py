"""Emission of a trained network as C: the files of an integer-only network -> a tree of C files for a firmware project.

network.json, weights.safetensors     the network
deployment.json                       rules of the memory plan, and the host's work         optional
vectors.npz                           codes of real samples, for the self-test              optional
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.schemas.emission import EmissionAnswer
from api.schemas.reports import Artifact
from api.storage.emitted_files import write_emitted
from deploy.arithmetic import CodeArray
from deploy.building.predicted import predicted_memory
from deploy.deployment import Deployment, read_deployment
from deploy.emission import emit
from deploy.emission.names import checked_name, derived_name
from deploy.emission.notice import notice_of
from deploy.files import load
from deploy.host_c.files import host_c_files
from deploy.integer_network import IntegerNetwork
from deploy.layouts.tree import Layout, laid_out
from deploy.result_folder import ARCHIVE_SUFFIX
from deploy.sample_codes import codes_of_test, read_vectors
from network.memory.report import MemoryReport

_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)
_ZIP_MODE: Final = 0o100644
_ZIP_LEVEL: Final = 9


@dataclass(frozen=True, eq=False)
class EmittedC:
    """A network in C, with what a firmware project needs around it.

    Attributes:
        name: Name of the C files, and prefix of what they define.
        files: Content of each file by its path in the tree, sorted.
        memory: Memory report of the network by the rules with which its arena was planned.
        arena_bytes: Bytes of the arena, which the caller provides.
        test_samples: Number of real samples in the self-test; 0 if it has pseudo-random codes.
        network_sha256: SHA-256 of the network's description, in hexadecimal.
    """

    name: str
    files: Mapping[str, bytes]
    memory: MemoryReport
    arena_bytes: int
    test_samples: int
    network_sha256: str

    @property
    def archive_name(self) -> str:
        """Name of the archive of all files."""
        return f"{self.name}{ARCHIVE_SUFFIX}"


def emit_network(
    network: IntegerNetwork,
    deployment: Deployment,
    codes: Mapping[str, CodeArray] | None,
    *,
    name: str | None = None,
    layout: Layout = Layout.ALL,
) -> EmittedC:
    """Return an integer-only network as C, with the files of a layout.

    Args:
        network: The integer-only network.
        deployment: Rules of the memory plan, and the host's work.
        codes: Codes of real samples for the self-test; None for pseudo-random ones.
        name: Name of the C files; None derives it from the name of the network.
        layout: Build tools for which files are laid out.

    Raises:
        RequestError: If the name is not valid.
        ConversionError: If the network is inconsistent, or a number of it does not fit into the C structures.
        InvalidNetwork: If the network has no layer with weights.
    """
    name = derived_name(network.name) if name is None else checked_name(name)
    accounting = deployment.accounting
    vectors = None if codes is None else codes_of_test(network, codes)
    notice = notice_of(network, name)
    files = emit(network, name=name, accounting=accounting, vectors=vectors)
    files |= host_c_files(network, deployment.host_graph, notice, name, network.host_steps)
    memory = predicted_memory(network, accounting)
    assert memory.arena is not None  # noqa: S101  # these rules plan one
    return EmittedC(
        name=name,
        files=laid_out(files, name, notice, layout, deployment.optimization),
        memory=memory,
        arena_bytes=memory.arena.arena_bytes,
        test_samples=0 if vectors is None else len(next(iter(vectors.values()))),
        network_sha256=notice.digest,
    )


def emit_result(result: Path, *, name: str | None = None, layout: Layout = Layout.ALL) -> EmittedC:
    """Return the network of a folder that a training wrote as C; the other arguments are those of `emit_network`.

    Args:
        result: The folder.
        name: Name of the C files; None derives it from the name of the network.
        layout: Build tools for which files are laid out.

    Raises:
        IntegerFileError: If a file of the folder is missing or damaged.
        BitbudgetError: As for `emit_network`.
    """
    network = load(result)
    return emit_network(
        network, read_deployment(result, network), read_vectors(result, network), name=name, layout=layout
    )


def write_result(emitted: EmittedC, directory: Path) -> EmissionAnswer:
    """Write a network in C into a directory, and return its description.

    Args:
        emitted: The network in C.
        directory: The directory: new, or with an earlier emission, which is replaced.

    Raises:
        RequestError: If a file would be replaced that was not emitted, or was changed since; nothing is written then.
            Or if the directory cannot be written to.
    """
    answer = describe_emission(emitted)
    write_emitted(emitted.files, directory, answer.model_dump(mode="json", exclude={"files"}))
    return answer


def describe_emission(emitted: EmittedC) -> EmissionAnswer:
    """Describe a network in C: its bytes on the chip, and its files."""
    return EmissionAnswer(
        name=emitted.name,
        network_sha256=emitted.network_sha256,
        flash_bytes=emitted.memory.flash_bytes,
        ram_bytes=emitted.memory.ram_bytes,
        arena_bytes=emitted.arena_bytes,
        test_samples=emitted.test_samples,
        files=[
            Artifact(name=path, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
            for path, content in emitted.files.items()
        ],
    )


def archive_of(emitted: EmittedC) -> bytes:
    """Return a ZIP archive of all files, in a folder with the name of the network.

    Equal files give equal bytes where the same version of zlib compresses them.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in emitted.files.items():
            entry = zipfile.ZipInfo(f"{emitted.name}/{path}", _ZIP_TIME)
            entry.create_system, entry.external_attr = 3, _ZIP_MODE << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, _ZIP_LEVEL)
    return buffer.getvalue()
