"""A service with keys: what the client and the command say without one, with a wrong one, and without a right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.cli.main import run
from api.client.client import Client
from api.client.errors import ServiceProblem
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_json

BUDGET = ["--flash=400", "--ram=60", "--method=mixpc", "--accounting=paper"]


def test_a_service_with_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    assert run(["keys", "create", "build", "--scope=read", "--scope=solve", f"--data={data}", "--json"]) == 0
    key = json.loads(capsys.readouterr().out)["key"]
    (tmp_path / "tiny.json").write_bytes(tiny_json())
    fit = ["fit", str(tmp_path / "tiny.json"), *BUDGET]
    with LiveService(data) as service:
        for wrong in (None, key[:-4] + "0000"):
            with Client(service.url, key=wrong) as client, pytest.raises(ServiceProblem, match="key") as refused:
                client.upload_network(tmp_path / "tiny.json")
            assert (refused.value.status, refused.value.type) == (401, "/problems/unauthorized")
            assert refused.value.request_id
        with Client(service.url, key=key) as client:
            network = client.upload_network(tmp_path / "tiny.json")
            assert client.fit(network, flash=400, ram=60, method="mixpc", accounting="paper").fits
            with pytest.raises(ServiceProblem) as forbidden:
                client.train(network, "digits", flash=400, ram=60)
            assert forbidden.value.status == 403
        assert run(["--server", service.url, *fit]) == 69
        assert "key" in capsys.readouterr().err
        monkeypatch.setenv("BITBUDGET_API_KEY", key)
        assert run(["--server", service.url, *fit]) == 0
