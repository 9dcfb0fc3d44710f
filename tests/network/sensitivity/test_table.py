"""Tables of sensitivities: read, written, and refused with the name of what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from network.allocation import Allocation, Bits, Folding, Scheme, WeightScheme
from network.errors import RequestError
from network.sensitivity.table import check_sensitivity, sensitivity_from_json, sensitivity_to_json
from tests.builders import mobilenet_v1
from tests.solver.instances import random_table

NETWORK = mobilenet_v1(0.25, 32, 10)
TABLE = random_table(NETWORK, 0)


def changed(part: str, name: str, row: Any) -> str:
    document = json.loads(sensitivity_to_json(TABLE))
    if row is None:
        del document[part][name]
    else:
        document[part][name] = row
    return json.dumps(document)


def test_round_trip() -> None:
    assert sensitivity_from_json(sensitivity_to_json(TABLE)) == TABLE
    check_sensitivity(TABLE, NETWORK)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "an object with 'weights' and 'activations'"),
        ('{"weights": [], "activations": {}}', "'weights' of the sensitivity table is a list of 0; expected an object"),
        ('{"weights": {}, "activations": {}, "bits": 4}', "an object with"),
        (
            changed("weights", "fc", {"8": 0, "4": 1}),
            "invalid entry for 'fc'; expected an object with exactly the keys",
        ),
        (changed("weights", "fc", {"8": 0, "4": 1, "2": "much"}), "'fc' at 2 bits is 'much'; expected a number"),
        (changed("weights", "fc", {"8": 0, "4": 1, "2": True}), "'fc' at 2 bits is 'True'; expected a number"),
        (changed("weights", "fc", {"8": 0, "4": 1, "2": -1}), "'fc' at 2 bits is -1.0; expected a finite number"),
        (changed("activations", "input", {"8": 0, "4": 1, "2": 1e999}), "'input' at 2 bits is inf"),
        (changed("weights", "fc", None), "lacks 'fc'"),
        (
            changed("activations", "ghost", {"8": 0, "4": 1, "2": 2}),
            "has 'ghost', which the network does not have",
        ),
    ],
)
def test_refused(text: str, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        check_sensitivity(sensitivity_from_json(text), NETWORK)


def with_schemes(given: Any) -> str:
    return json.dumps({**json.loads(sensitivity_to_json(TABLE)), "weights_by_scheme": given})


def test_rows_by_scheme() -> None:
    table = random_table(NETWORK, 0, has_schemes=True)
    assert sensitivity_from_json(sensitivity_to_json(table)) == table
    check_sensitivity(table, NETWORK)
    assert 0 < len(table.weights_by_scheme) < len(WeightScheme)
    for scheme in WeightScheme:
        assert table.weight_rows(scheme) == table.weights_by_scheme.get(scheme, table.weights)
    bits: dict[str, Bits] = {layer.name: 4 for layer in NETWORK.weight_layers}
    for scheme in WeightScheme:
        allocation = Allocation(bits, {}, dict.fromkeys(bits, Scheme(scheme, Folding.ICN)))
        assert table.objective(allocation) == pytest.approx(sum(row[4] for row in table.weight_rows(scheme).values()))
    # A table without schemes has the same text as before there were any.
    assert set(json.loads(sensitivity_to_json(TABLE))) == {"method", "weights", "activations"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "'weights_by_scheme' of the sensitivity table is a list of 0; expected an object that maps a scheme"),
        ({"mine": {}}, "'weights_by_scheme' of the sensitivity table has the unknown scheme 'mine'; expected PerLayer"),
        ({"PerLayerAsymPACT": []}, "'weights_by_scheme.PerLayerAsymPACT' of the sensitivity table is a list of 0"),
        ({"PerLayerAsymPACT": {}}, "'weights_by_scheme.PerLayerAsymPACT' of the sensitivity table lacks "),
    ],
)
def test_refused_rows_by_scheme(given: Any, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        check_sensitivity(sensitivity_from_json(with_schemes(given)), NETWORK)
