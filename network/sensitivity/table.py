"""The sensitivity table of a network: the estimated increase of the loss if one tensor gets fewer bits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from network.allocation import BITS, Bits
from network.errors import RequestError
from network.names import described, shown
from network.network import Network

Row = Mapping[Bits, float]
"""Bits -> sensitivity of one tensor at these bits, 0 or more."""


@dataclass(frozen=True, slots=True)
class SensitivityTable:
    """Sensitivity of each tensor of a network at 8, 4 and 2 bits; only the ratios of the sensitivities matter.

    Attributes:
        method: Name of the method by which the sensitivities were found.
        weights: Name of each layer with weights -> bits -> sensitivity of its weight tensor, 0 or more.
        activations: Name of each activation tensor -> bits -> sensitivity, 0 or more.
    """

    method: str
    weights: Mapping[str, Row]
    activations: Mapping[str, Row]

    @property
    def is_zero(self) -> bool:
        """Whether every sensitivity is 0, so that the table does not distinguish any bits and a minimum of it proves
        nothing.
        """
        rows = [*self.weights.values(), *self.activations.values()]
        return not any(figure for row in rows for figure in row.values())

    def objective(self, weight_bits: Mapping[str, Bits], activation_bits: Mapping[str, Bits]) -> float:
        """Return the sum of the sensitivities of all tensors of a network at the given bits.

        Args:
            weight_bits: Name of each layer with weights -> bits of its weight tensor.
            activation_bits: Name of each activation tensor -> its bits.
        """
        return math.fsum(
            [self.weights[layer][bits] for layer, bits in weight_bits.items()]
            + [self.activations[tensor][bits] for tensor, bits in activation_bits.items()]
        )


def check_sensitivity(table: SensitivityTable, network: Network) -> None:
    """Reject a sensitivity table that lacks a tensor of a network, has an unknown one, or has an invalid sensitivity.

    Args:
        table: The sensitivity table to check.
        network: The network whose tensors the table must have.

    Raises:
        RequestError: if a tensor is missing or unknown, or has a sensitivity that is negative or not finite; names it.
    """
    expected = {
        "weights": ([layer.name for layer in network.weight_layers], table.weights),
        "activations": (list(network.tensors), table.activations),
    }
    for part, (names, rows) in expected.items():
        missing = [name for name in names if name not in rows]
        unknown = [name for name in rows if name not in set(names)]
        if missing or unknown:
            what = f"lacks '{missing[0]}'" if missing else f"has '{unknown[0]}', which the network does not have"
            raise RequestError(
                f"'{part}' of the sensitivity table {what}; expected exactly the {len(names)} "
                f"{'layers with weights' if part == 'weights' else 'activation tensors'} of the network"
            )
        for name, row in rows.items():
            for bits in BITS:
                figure = row.get(bits)
                if figure is None or not math.isfinite(figure) or figure < 0:
                    raise RequestError(
                        f"the sensitivity of '{name}' at {bits} bits is {figure}; expected a finite number, 0 or more"
                    )


def sensitivity_from_json(text: str) -> SensitivityTable:
    """Read a sensitivity table from JSON text: `{"weights": {layer: {"8": x, "4": y, "2": z}}, "activations": {...}}`.

    Args:
        text: JSON text.

    Raises:
        RequestError: if the text is not valid JSON, or is not a valid sensitivity table.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the sensitivity table is not valid JSON: {str(error)[:100]}") from None
    return sensitivity_of(given)


def sensitivity_of(given: Any) -> SensitivityTable:
    """Read a sensitivity table from a decoded JSON value.

    Args:
        given: Decoded JSON value, in the form that `sensitivity_from_json` describes.

    Raises:
        RequestError: if the value is not a valid sensitivity table.
    """
    expected = "expected an object with 'weights' and 'activations', and optionally 'method', as keys"
    if not isinstance(given, dict):
        raise RequestError(f"the sensitivity table is {described(given)}; {expected}")
    for key in ("weights", "activations"):
        if key not in given:
            raise RequestError(f"the sensitivity table lacks the key '{key}'; {expected}")
    for key in given:
        if key not in {"method", "weights", "activations"}:
            raise RequestError(f"the sensitivity table has the unknown key '{shown(str(key))}'; {expected}")
    return SensitivityTable(
        str(given.get("method", "table"))[:60],
        _rows("weights", given["weights"]),
        _rows("activations", given["activations"]),
    )


def sensitivity_to_json(table: SensitivityTable) -> str:
    """Return a sensitivity table as JSON text; `sensitivity_from_json` reads it back unchanged."""
    return json.dumps(sensitivity_to_document(table), indent=1)


def sensitivity_to_document(table: SensitivityTable) -> dict[str, Any]:
    """Return a sensitivity table as a JSON object; `sensitivity_of` reads it back unchanged."""
    rows = {"weights": rows_as_json(table.weights), "activations": rows_as_json(table.activations)}
    return {"method": table.method, **rows}


def rows_as_json(rows: Mapping[str, Row]) -> dict[str, dict[str, float]]:
    """Return the sensitivities of tensors by name, with the bits as text keys ("8", "4" and "2") as JSON requires."""
    return {name: {str(bits): row[bits] for bits in BITS} for name, row in rows.items()}


def _rows(part: str, given: Any) -> dict[str, Row]:
    if not isinstance(given, dict):
        raise RequestError(
            f"'{part}' of the sensitivity table is {described(given)}; expected an object that maps the name of each "
            f"{'layer' if part == 'weights' else 'tensor'} to an object that maps bits to a sensitivity"
        )
    rows: dict[str, Row] = {}
    for name, row in given.items():
        if not isinstance(row, dict) or row.keys() != {str(bits) for bits in BITS}:
            raise RequestError(
                f"the sensitivity table has an invalid entry for '{name[:60]}'; "
                'expected an object with exactly the keys "8", "4" and "2"'
            )
        for bits, figure in row.items():
            if isinstance(figure, bool) or not isinstance(figure, int | float):
                raise RequestError(
                    f"the sensitivity of '{name[:60]}' at {bits} bits is {str(figure)[:40]!r}; expected a number"
                )
        rows[name] = {bits: float(row[str(bits)]) for bits in BITS}
    return rows
