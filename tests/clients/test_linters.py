"""The OpenAPI document has no error and no warning by the rules of Spectral and Redocly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.conftest import BIN, DOCUMENT, HERE, Command, run

pytestmark = pytest.mark.long

QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def test_spectral_finds_nothing(node: Path) -> None:
    command: Command = [node / BIN / "spectral", "lint", DOCUMENT, "--ruleset", HERE / "spectral.yaml"]
    printed = run([*command, "--fail-severity", "hint", "--format", "text"], node)
    assert "No results with a severity of 'hint' or higher found!" in printed


def test_redocly_finds_nothing(node: Path) -> None:
    command: Command = [node / BIN / "redocly", "lint", DOCUMENT, "--config", HERE / "redocly.yaml", "--format", "json"]
    printed = run(command, node, **QUIET)
    assert json.loads(printed[printed.index("{") : printed.rindex("}") + 1])["totals"] == {
        "errors": 0,
        "warnings": 0,
        "ignored": 0,
    }


@pytest.mark.parametrize("linter", ["spectral", "redocly"])
def test_a_fault_would_be_found(node: Path, tmp_path: Path, linter: str) -> None:
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    body = document["paths"]["/v1/networks/{network_id}/fit"]["post"]["requestBody"]["content"]["application/json"]
    body["examples"]["a_budget"]["value"]["flash"] = "18kb"
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    of_linter: dict[str, Command] = {
        "spectral": ["--ruleset", HERE / "spectral.yaml"],
        "redocly": ["--config", HERE / "redocly.yaml"],
    }
    with pytest.raises(AssertionError, match=r"(?s)(example|pattern)"):
        run([node / BIN / linter, "lint", tmp_path / "openapi.json", *of_linter[linter]], node, **QUIET)
