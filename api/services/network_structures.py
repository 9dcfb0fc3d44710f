"""Layers and sensitivity tables of uploaded networks, which the solver needs; they are computed once and stored.

    network file  ──parse────►  structure-2.json           layers and shapes, without weights
                  ──measure──►  weights-2-SCHEME.json      sensitivities from the weights, by one scheme or by all

Both are stored on disk under the SHA-256 of the network file, so that a second fit reads neither the file nor its
weights, even in another process. The processes with limits that solve read them, and the service does not.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from api.storage.derived_files import DerivedFiles
from network.allocation import WeightScheme
from network.errors import BitbudgetError

_STRUCTURE_FILE: Final = "structure-2.json"
_WEIGHTS_FILE: Final = "weights-2-{scheme}.json"
"""File names with a version number, which must grow when the reader or the measure computes something else."""


ALL_SCHEMES: Final = "all"
TableScheme = WeightScheme | Literal["all"]
"""Scheme of a sensitivity table, or all of them in one table."""


class DamagedFile(BitbudgetError):
    """Error: a file that was computed from a network is missing or damaged, and must be computed again."""


class NetworkStructures:
    """Layers and sensitivity tables of uploaded networks, stored on disk.

    Args:
        files: Files on disk that are computed from networks.
    """

    def __init__(self, files: DerivedFiles) -> None:
        self._files = files
        self._writing = Lock()

    def structure(self, network_id: str) -> Path | None:
        """Return the path of the layers of a network; None if they must be computed."""
        return self._files.path(network_id, _STRUCTURE_FILE)

    def table(self, network_id: str, scheme: TableScheme) -> Path | None:
        """Return the path of a sensitivity table that was computed from the weights; None if it must be computed."""
        return self._files.path(network_id, _WEIGHTS_FILE.format(scheme=scheme))

    def keep(self, network_id: str, structure: str) -> None:
        """Store the layers of a network that was just parsed.

        Args:
            network_id: Identity of the network.
            structure: JSON description of the network, without weights.
        """
        with contextlib.suppress(OSError):  # if the disk is full, it is computed when it is needed
            self._write(network_id, _STRUCTURE_FILE, structure)

    def keep_derived(self, network_id: str, structure: str, scheme: TableScheme | None, table: str | None) -> None:
        """Store the layers of a network, and a sensitivity table that was computed from its weights.

        Args:
            network_id: Identity of the network.
            structure: JSON description of the network, without weights.
            scheme: Scheme of the table; None without a table.
            table: The table as JSON; None without a table.

        Raises:
            OSError: If the disk cannot be written to.
        """
        self._write(network_id, _STRUCTURE_FILE, structure)
        if table is not None:
            self._write(network_id, _WEIGHTS_FILE.format(scheme=scheme), table)

    def forget(self, network_id: str) -> None:
        """Delete the stored layers and sensitivity tables of a network."""
        self._files.delete(network_id)

    def _write(self, network_id: str, name: str, text: str) -> None:
        with self._writing:
            self._files.write(network_id, name, text.encode())
