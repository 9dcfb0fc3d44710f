"""The page about the client: its examples run against a service, and print what the page shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from api.client.errors import ClientError
from api.client.retries import Timeouts
from docs.example_outputs import with_outputs
from tests.api.live_service import LiveService

PAGE = Path(__file__).parents[3] / "docs" / "client.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.long
def test_the_examples_run_and_print_what_is_shown(service: LiveService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITBUDGET_SERVER", service.url)
    variables: dict[str, Any] = {"__name__": "page"}
    try:
        assert with_outputs(TEXT, variables) == TEXT
        assert variables["report"].quality is not None
    finally:
        variables["client"].close()


def test_every_error_stands_on_the_page() -> None:
    assert [each.__name__ for each in ClientError.__subclasses__() if f"`{each.__name__}`" not in TEXT] == []


def test_the_times_are_the_defaults() -> None:
    shown = re.findall(r"^\| `(\w+_seconds)` \| (\d+) \|", TEXT, re.MULTILINE)
    assert {name: float(seconds) for name, seconds in shown} == {
        name: getattr(Timeouts(), name) for name in Timeouts.__dataclass_fields__
    }
