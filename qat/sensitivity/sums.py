"""Sums of sensitivities over batches of samples, and their conversion to a sensitivity table of means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from network.allocation import BITS, Bits, WeightScheme
from network.network import Network
from network.sensitivity.by_scheme import table_by_scheme
from network.sensitivity.table import SensitivityTable

DIGITS: Final = 3
"""Number of significant digits to which sensitivities are rounded. The order in which threads add numbers changes a sum
by much less, so that the table, and the bits chosen by it, rarely depend on the machine."""


class SumsByTensor:
    """Sums of sensitivities over samples, for each tensor at 8, 4 and 2 bits."""

    def __init__(self) -> None:
        self._sums: dict[str, dict[Bits, float]] = {}

    def add(self, name: str, figures: Mapping[Bits, float]) -> None:
        """Add the sensitivities of a tensor at 8, 4 and 2 bits, in nats, to the tensor's sums."""
        own = self._sums.setdefault(name, dict.fromkeys(BITS, 0.0))
        for bits in BITS:
            own[bits] += figures[bits]

    def take(self, other: SumsByTensor) -> None:
        """Take over the sums of tensors that have none here."""
        self._sums |= other._sums

    def rows(self, names: Iterable[str], samples: int) -> dict[str, dict[Bits, float]]:
        """Return the mean sensitivity over the samples, by tensor name and number of bits.

        A mean that is smaller than that at more bits is noise and is raised to it. A tensor without sums has 0.

        Args:
            names: Names of the tensors.
            samples: Number of samples in the sums, at least 1.
        """
        rows: dict[str, dict[Bits, float]] = {}
        for name in names:
            previous = 0.0
            row: dict[Bits, float] = {}
            for bits in BITS:  # the widest first
                mean = self._sums.get(name, {}).get(bits, 0.0) / samples
                previous = row[bits] = max(previous, float(f"{mean:.{DIGITS}g}"))
            rows[name] = row
        return rows


class Sums:
    """Sums of sensitivities over samples, for the weight tensor of each layer and for each activation tensor.

    Attributes:
        weights: Scheme -> sums by layer name.
        activations: Sums by activation tensor.
    """

    def __init__(self, schemes: Iterable[WeightScheme]) -> None:
        """Create sums of 0.

        Args:
            schemes: Schemes by which weights are quantized: one, or all.
        """
        self.weights = {scheme: SumsByTensor() for scheme in schemes}
        self.activations = SumsByTensor()

    def table(self, method: str, network: Network, samples: int) -> SensitivityTable:
        """Return the sensitivity table: the mean over the samples, for each weight tensor and activation tensor.

        With sums for all schemes, the table has rows for each of them.

        Args:
            method: Name of the measure, for the table.
            network: The network.
            samples: Number of samples in the sums, at least 1.
        """
        layers = [layer.name for layer in network.weight_layers]
        weights = {scheme: sums.rows(layers, samples) for scheme, sums in self.weights.items()}
        return table_by_scheme(method, weights, self.activations.rows(network.tensors, samples))
