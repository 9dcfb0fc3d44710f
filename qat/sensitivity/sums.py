"""What a measure adds up, batch by batch, and the table that comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from network.allocation import BITS, Bits
from network.network import Network
from network.sensitivity.table import SensitivityTable

DIGITS: Final = 3
"""Figures are rounded to as many: a sum that threads add up in another order is off by far less, so that the table, and
with it the bits, hardly ever depend on the machine."""


class SumsByTensor:
    """A sum for each tensor and bits."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[Bits, float]] = {}

    def add(self, name: str, figures: Mapping[Bits, float]) -> None:
        """Add to a tensor's sums."""
        own = self._sums.setdefault(name, dict.fromkeys(BITS, 0.0))
        for bits in BITS:
            own[bits] += figures[bits]

    def rows(self, names: Iterable[str], samples: int) -> dict[str, dict[Bits, float]]:
        """The means over the samples; 0 for a tensor that nothing was added for."""
        rows: dict[str, dict[Bits, float]] = {}
        for name in names:
            least = 0.0
            row: dict[Bits, float] = {}
            for bits in BITS:  # the widest first
                mean = self._sums.get(name, {}).get(bits, 0.0) / samples
                least = row[bits] = max(least, float(f"{mean:.{DIGITS}g}"))
            rows[name] = row
        return rows


class Sums:
    """Sums over samples, for the weights of each layer and for each activation tensor."""

    def __init__(self) -> None:
        self.weights = SumsByTensor()
        self.activations = SumsByTensor()

    def table(self, method: str, network: Network, samples: int) -> SensitivityTable:
        """The means over the samples, as a table.

        A tensor with fewer bits is not better off: a figure below that of more bits is noise, and is raised to it.
        """
        layers = [layer.name for layer in network.weight_layers]
        return SensitivityTable(
            method, self.weights.rows(layers, samples), self.activations.rows(network.tensors, samples)
        )
