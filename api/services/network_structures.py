"""Layers and sensitivity tables of uploaded networks, which the solver needs; they are computed once and stored.

    network file  ──parse────►  structure-2.json           layers and shapes, without weights
                  ──measure──►  weights-2-SCHEME.json      sensitivities from the weights, by one scheme or by all

Both are stored on disk under the SHA-256 of the network file, so that a second fit reads neither the file nor its
weights, even in another process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from typing import Final

from api.storage.derived_files import DerivedFiles
from network.allocation import WeightScheme
from network.errors import BitbudgetError
from network.json_reading.description import read_json, write_json
from network.network import Network
from network.sensitivity.from_weights import weight_sensitivity
from network.sensitivity.table import SensitivityTable, check_sensitivity, sensitivity_from_json, sensitivity_to_json

_STRUCTURE_FILE: Final = "structure-2.json"
_WEIGHTS_FILE: Final = "weights-2-{scheme}.json"
"""File names with a version number, which must grow when the reader or the measure computes something else."""

_IN_MEMORY: Final = 16
"""Number of networks whose structure stays in memory."""


class NetworkStructures:
    """Layers and sensitivity tables of uploaded networks, computed once and stored on disk.

    Args:
        files: Files on disk that are computed from networks.
        read_network: Function that reads the network with an identifier, with its weights.
    """

    def __init__(self, files: DerivedFiles, read_network: Callable[[str], Network]) -> None:
        self._files = files
        self._read_network = read_network
        self._writing = Lock()
        self.structure = lru_cache(maxsize=_IN_MEMORY)(self._structure)
        self.weights_table = lru_cache(maxsize=_IN_MEMORY * (1 + len(WeightScheme)))(self._weights_table)

    def keep(self, network_id: str, structure: str) -> None:
        """Store the layers of a network that was just parsed.

        Args:
            network_id: Identity of the network.
            structure: JSON description of the network, without weights.
        """
        self._write(network_id, _STRUCTURE_FILE, structure)

    def forget(self, network_id: str) -> None:
        """Delete the stored layers and sensitivity tables of a network."""
        self._files.delete(network_id)
        self.structure.cache_clear()
        self.weights_table.cache_clear()

    def _structure(self, network_id: str) -> Network:
        kept = self._files.read(network_id, _STRUCTURE_FILE)
        if kept is not None:
            try:
                return read_json(kept, network_id)
            except BitbudgetError:
                pass  # the file is damaged: compute it again
        network = self._read_network(network_id)
        structure = write_json(network, with_weights=False)
        self.keep(network_id, structure)
        return read_json(structure.encode(), network.name)

    def _weights_table(self, network_id: str, scheme: WeightScheme | None) -> SensitivityTable:
        name = _WEIGHTS_FILE.format(scheme=scheme or "all")
        kept = self._files.read(network_id, name)
        if kept is not None:
            try:
                table = sensitivity_from_json(kept.decode())
                check_sensitivity(table, self.structure(network_id))
            except (BitbudgetError, UnicodeDecodeError):
                pass  # the file is damaged: compute it again
            else:
                return table
        table = weight_sensitivity(self._read_network(network_id), scheme)
        self._write(network_id, name, sensitivity_to_json(table))
        return table

    def _write(self, network_id: str, name: str, text: str) -> None:
        # If the disk is full, the file is computed again for each request.
        with self._writing, contextlib.suppress(OSError):
            self._files.write(network_id, name, text.encode())
