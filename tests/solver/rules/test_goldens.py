"""The rules, compared with recorded results of the published code of the paper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from network.budget import Budget
from network.memory.paper import PaperAccounting
from network.network import Network
from solver.fit import fit
from solver.options import Method
from tests.builders import chain_of, mobilenet_v1, question_of

GOLDENS = Path(__file__).parents[3].parent / "shared" / "goldens" / "mixq.json"
ROWS: list[dict[str, Any]] = json.loads(GOLDENS.read_text()) if GOLDENS.exists() else []

pytestmark = pytest.mark.skipif(not ROWS, reason="the recorded results in ../shared/goldens are not present")


def built(description: dict[str, Any]) -> Network:
    """Return the network that a recorded row describes."""
    if description["kind"] == "mobilenet_v1":
        return mobilenet_v1(description["width"], description["resolution"], description["classes"])
    return chain_of(description)


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: f"{row['network']['kind']}-{row['method']}-{row['flash_bytes']}-{row['ram_bytes']}"
)
def test_bits_are_those_of_the_published_code(row: dict[str, Any]) -> None:
    network = built(row["network"])
    budget = Budget(flash_bytes=row["flash_bytes"], ram_bytes=row["ram_bytes"])
    solution = fit(question_of(network, budget, Method(row["method"]), PaperAccounting()))
    expected = row["answer"]
    if not expected.get("fits", True):
        assert solution.certificate is not None
        assert solution.certificate.budget == expected["reason"]
        assert (solution.certificate.missing_bytes or 0) > 0
        return
    assert solution.allocation is not None
    allocation = solution.allocation
    assert list(allocation.weight_bits.values()) == expected["weight_bits"]
    outputs = [layer.output for layer in network.weight_layers]
    assert [allocation.activation_bits[tensor] for tensor in outputs[:-1]] == expected["output_bits"]
    assert [scheme.weights for scheme in allocation.schemes.values()] == expected["scheme"]
