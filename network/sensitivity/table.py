"""The table of sensitivities: the estimated rise of the loss when one tensor gets fewer bits."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from network.allocation import BITS, Bits
from network.errors import RequestError
from network.network import Network

Row = Mapping[Bits, float]


@dataclass(frozen=True, slots=True)
class SensitivityTable:
    """One figure per tensor and bits; only their ratios matter.

    Attributes:
        method: how they were found.
        weights: layer name -> bits -> figure, 0 or more.
        activations: tensor name -> bits -> figure, 0 or more.
    """

    method: str
    weights: Mapping[str, Row]
    activations: Mapping[str, Row]

    def objective(self, weight_bits: Mapping[str, Bits], activation_bits: Mapping[str, Bits]) -> float:
        """The summed sensitivity of an allocation."""
        return math.fsum(
            [self.weights[layer][bits] for layer, bits in weight_bits.items()]
            + [self.activations[tensor][bits] for tensor, bits in activation_bits.items()]
        )


def check_sensitivity(table: SensitivityTable, network: Network) -> None:
    """Refuse a table that does not speak of every tensor of the network.

    Raises:
        RequestError: a tensor is missing, unknown, or has a figure that is negative or not finite; names it.
    """
    expected = {
        "weights": ([layer.name for layer in network.weight_layers], table.weights),
        "activations": (list(network.tensors), table.activations),
    }
    for part, (names, rows) in expected.items():
        missing = [name for name in names if name not in rows]
        unknown = [name for name in rows if name not in set(names)]
        if missing or unknown:
            what = f"lacks '{missing[0]}'" if missing else f"speaks of '{unknown[0]}', which the network does not have"
            raise RequestError(
                f"the sensitivity table's {part} {what}; expected exactly the network's {len(names)} names"
            )
        for name, row in rows.items():
            for bits in BITS:
                figure = row.get(bits)
                if figure is None or not math.isfinite(figure) or figure < 0:
                    raise RequestError(
                        f"the sensitivity of '{name}' at {bits} bits is {figure}; expected a finite number, 0 or more"
                    )


def sensitivity_from_json(text: str) -> SensitivityTable:
    """`{"weights": {layer: {"8": x, "4": y, "2": z}}, "activations": {tensor: {...}}}` -> the table.

    Raises:
        RequestError: not JSON, or of another form.
    """
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the sensitivity table is no JSON: {str(error)[:100]}") from None
    return sensitivity_of(given)


def sensitivity_of(given: Any) -> SensitivityTable:
    """The table in a decoded JSON document.

    Raises:
        RequestError: of another form.
    """
    if not isinstance(given, dict) or not {"weights", "activations"} <= given.keys() <= {
        "method",
        "weights",
        "activations",
    }:
        raise RequestError("the sensitivity table is an object with 'weights' and 'activations' (and 'method', if any)")
    return SensitivityTable(
        str(given.get("method", "table"))[:60],
        _rows("weights", given["weights"]),
        _rows("activations", given["activations"]),
    )


def sensitivity_to_json(table: SensitivityTable) -> str:
    """The inverse of `sensitivity_from_json`."""
    return json.dumps(sensitivity_to_document(table), indent=1)


def sensitivity_to_document(table: SensitivityTable) -> dict[str, Any]:
    """Return the table as a JSON object, which `sensitivity_of` reads back."""
    rows = {"weights": rows_as_json(table.weights), "activations": rows_as_json(table.activations)}
    return {"method": table.method, **rows}


def rows_as_json(rows: Mapping[str, Row]) -> dict[str, dict[str, float]]:
    """Rows with the keys that JSON can have: "8", "4" and "2"."""
    return {name: {str(bits): row[bits] for bits in BITS} for name, row in rows.items()}


def _rows(part: str, given: Any) -> dict[str, Row]:
    if not isinstance(given, dict):
        raise RequestError(f"the sensitivity table's '{part}' is an object: name -> bits -> figure")
    rows: dict[str, Row] = {}
    for name, row in given.items():
        if not isinstance(row, dict) or row.keys() != {str(bits) for bits in BITS}:
            raise RequestError(f'the sensitivity of \'{name[:60]}\' is an object with the keys "8", "4" and "2"')
        for bits, figure in row.items():
            if isinstance(figure, bool) or not isinstance(figure, int | float):
                raise RequestError(
                    f"the sensitivity of '{name[:60]}' at {bits} bits is {str(figure)[:40]!r}, no number"
                )
        rows[name] = {bits: float(row[str(bits)]) for bits in BITS}
    return rows
