"""The sensitivity table of a network: the estimated increase of the loss if one tensor gets fewer bits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from network.allocation import BITS, Allocation, Bits, WeightScheme
from network.errors import RequestError
from network.names import described, shown
from network.network import Network

Row = Mapping[Bits, float]
"""Bits -> sensitivity of one tensor at these bits, 0 or more."""

_KEYS: Final = ("method", "weights", "weights_by_scheme", "activations")


@dataclass(frozen=True, slots=True)
class SensitivityTable:
    """Sensitivity of each tensor of a network at 8, 4 and 2 bits; only the ratios of the sensitivities matter.

    Attributes:
        method: Name of the method by which the sensitivities were found.
        weights: Name of each layer with weights -> bits -> sensitivity of its weight tensor, 0 or more, by every scheme
            that `weights_by_scheme` does not have.
        activations: Name of each activation tensor -> bits -> sensitivity, 0 or more.
        weights_by_scheme: Scheme of weights -> name of each layer with weights -> bits -> sensitivity of its weight
            tensor by this scheme. Where it is empty, the table does not distinguish schemes.
    """

    method: str
    weights: Mapping[str, Row]
    activations: Mapping[str, Row]
    weights_by_scheme: Mapping[WeightScheme, Mapping[str, Row]] = field(default_factory=dict)

    def weight_rows(self, scheme: WeightScheme) -> Mapping[str, Row]:
        """Return the sensitivity of each weight tensor if its weights are quantized by the given scheme.

        Args:
            scheme: Scheme by which weights are quantized.
        """
        return self.weights_by_scheme.get(scheme, self.weights)

    @property
    def is_zero(self) -> bool:
        """Whether every sensitivity is 0, so that the table does not distinguish any bits and a minimum of it proves
        nothing.
        """
        parts = [self.weights, self.activations, *self.weights_by_scheme.values()]
        return not any(figure for rows in parts for row in rows.values() for figure in row.values())

    def objective(self, allocation: Allocation) -> float:
        """Return the sum of the sensitivities of all tensors of a network at the given bits and schemes.

        Args:
            allocation: Bits of every tensor, and scheme of every weight tensor.
        """
        weights = [
            self.weight_rows(allocation.schemes[layer].weights)[layer][bits]
            for layer, bits in allocation.weight_bits.items()
        ]
        activations = [self.activations[tensor][bits] for tensor, bits in allocation.activation_bits.items()]
        return math.fsum(weights + activations)


def check_sensitivity(table: SensitivityTable, network: Network) -> None:
    """Reject a sensitivity table that lacks a tensor of a network, has an unknown one, or has an invalid sensitivity.

    Args:
        table: The sensitivity table to check.
        network: The network whose tensors the table must have.

    Raises:
        RequestError: if a tensor is missing or unknown, or has a sensitivity that is negative or not finite; names it.
    """
    layers = [layer.name for layer in network.weight_layers]
    expected = {"weights": (layers, table.weights), "activations": (list(network.tensors), table.activations)}
    for scheme, of_scheme in table.weights_by_scheme.items():
        expected[f"weights_by_scheme.{scheme}"] = (layers, of_scheme)
    for part, (names, rows) in expected.items():
        known = set(names)
        missing = [name for name in names if name not in rows]
        unknown = [name for name in rows if name not in known]
        if missing or unknown:
            what = f"lacks '{missing[0]}'" if missing else f"has '{unknown[0]}', which the network does not have"
            raise RequestError(
                f"'{part}' of the sensitivity table {what}; expected exactly the {len(names)} "
                f"{'activation tensors' if part == 'activations' else 'layers with weights'} of the network"
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

    `"weights_by_scheme": {scheme: {layer: {...}}}` is optional: tables without it do not distinguish schemes.

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
    expected = (
        "expected an object with 'weights' and 'activations', and optionally 'method' and 'weights_by_scheme', as keys"
    )
    if not isinstance(given, dict):
        raise RequestError(f"the sensitivity table is {described(given)}; {expected}")
    for key in ("weights", "activations"):
        if key not in given:
            raise RequestError(f"the sensitivity table lacks the key '{key}'; {expected}")
    for key in given:
        if key not in _KEYS:
            raise RequestError(f"the sensitivity table has the unknown key '{shown(str(key))}'; {expected}")
    return SensitivityTable(
        str(given.get("method", "table"))[:60],
        _rows("weights", given["weights"]),
        _rows("activations", given["activations"]),
        _rows_by_scheme(given.get("weights_by_scheme", {})),
    )


def sensitivity_to_json(table: SensitivityTable) -> str:
    """Return a sensitivity table as JSON text; `sensitivity_from_json` reads it back unchanged."""
    return json.dumps(sensitivity_to_document(table), indent=1)


def sensitivity_to_document(table: SensitivityTable) -> dict[str, Any]:
    """Return a sensitivity table as a JSON object; `sensitivity_of` reads it back unchanged."""
    document: dict[str, Any] = {"method": table.method, "weights": rows_as_json(table.weights)}
    if table.weights_by_scheme:
        document["weights_by_scheme"] = {str(scheme): rows for scheme, rows in schemes_as_json(table).items()}
    return {**document, "activations": rows_as_json(table.activations)}


def schemes_as_json(table: SensitivityTable) -> dict[WeightScheme, dict[str, dict[str, float]]]:
    """Return the sensitivities of weight tensors by scheme and layer, as JSON has them; empty without schemes."""
    return {scheme: rows_as_json(rows) for scheme, rows in table.weights_by_scheme.items()}


def rows_as_json(rows: Mapping[str, Row]) -> dict[str, dict[str, float]]:
    """Return the sensitivities of tensors by name, with the bits as text keys ("8", "4" and "2") as JSON requires."""
    return {name: {str(bits): row[bits] for bits in BITS} for name, row in rows.items()}


def _rows_by_scheme(given: Any) -> dict[WeightScheme, dict[str, Row]]:
    part, names = "weights_by_scheme", ", ".join(WeightScheme)
    if not isinstance(given, dict):
        raise RequestError(
            f"'{part}' of the sensitivity table is {described(given)}; expected an object that maps a scheme ({names}) "
            "to an object like 'weights'"
        )
    for scheme in given:
        if scheme not in list(WeightScheme):
            raise RequestError(
                f"'{part}' of the sensitivity table has the unknown scheme '{shown(str(scheme))}'; expected {names}"
            )
    return {WeightScheme(scheme): _rows(f"{part}.{scheme}", rows) for scheme, rows in given.items()}


def _rows(part: str, given: Any) -> dict[str, Row]:
    if not isinstance(given, dict):
        raise RequestError(
            f"'{part}' of the sensitivity table is {described(given)}; expected an object that maps the name of each "
            f"{'tensor' if part == 'activations' else 'layer'} to an object that maps bits to a sensitivity"
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
