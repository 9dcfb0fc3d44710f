"""Quotas over HTTP: what a project has and may have, and the problems of a project that wants more."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli.main import run
from api.storage.database import Store
from tests.api.local_service import local_service
from tests.api.small_files import tiny_dataset, tiny_network
from tests.onnx_files import to_onnx

NETWORK = to_onnx(tiny_network())


def project_of(client: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/v1/project").raise_for_status().json()
    return answer


def test_a_project_that_is_full_still_deletes_and_cancels(tmp_path: Path) -> None:
    allowed = len(NETWORK) + 10
    with local_service(tmp_path / "data", project_bytes=allowed, project_queued_jobs=1, max_concurrent_jobs=1) as (
        service, client,
    ):  # fmt: skip
        assert project_of(client) == {
            "name": "default", "stored_bytes": 0, "max_bytes": allowed, "networks": 0, "network_bytes": 0,
            "datasets": 0, "dataset_bytes": 0, "jobs": 0, "artifact_bytes": 0, "queued_jobs": 0, "max_queued_jobs": 1,
            "retention_days": None,
        }  # fmt: skip
        network = client.post("/v1/networks", content=NETWORK).json()["id"]
        assert client.post("/v1/networks", content=NETWORK).status_code == 200, "it is there already"
        for refused in (
            client.post("/v1/datasets", content=tiny_dataset()),
            client.post("/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "11"}),
        ):
            assert refused.status_code == 413, refused.text
            problem = refused.json()
            assert problem["type"] == "/problems/quota-exceeded"
            assert (problem["used_bytes"], problem["allowed_bytes"]) == (len(NETWORK), allowed)
        assert sorted(path.name for path in (service.settings.datasets_directory).iterdir()) == []

        body = {"dataset": "none"}
        first = client.post(f"/v1/networks/{network}/sensitivity", json=body)
        assert first.status_code == 202, first.text
        seen: list[httpx.Response] = []
        while not seen or seen[-1].status_code == 202:  # the first one may have started already
            seen.append(client.post(f"/v1/networks/{network}/sensitivity", json=body))
            assert len(seen) < 4, "one runs and one waits"
        refused = seen[-1]
        assert (refused.status_code, refused.json()["type"]) == (429, "/problems/queue-limit")
        assert int(refused.headers["retry-after"]) > 0
        for job in client.get("/v1/jobs").json()["items"]:
            client.post(f"/v1/jobs/{job['id']}/cancel")
        assert client.get("/v1/project").json()["queued_jobs"] == 0
        for job in client.get("/v1/jobs").json()["items"]:
            while client.delete(f"/v1/jobs/{job['id']}").status_code == 409:
                client.get(f"/v1/jobs/{job['id']}?wait_seconds=5")
        assert client.delete(f"/v1/networks/{network}").status_code == 204
        assert project_of(client)["stored_bytes"] == 0


def test_of_parallel_uploads_exactly_the_allowed_number_is_kept(tmp_path: Path) -> None:
    files = [tiny_dataset(seed=number) for number in range(8)]
    size = max(map(len, files))
    with local_service(tmp_path / "data", project_bytes=3 * size + size // 2) as (service, client):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda content: client.post("/v1/datasets", content=content), files))
        assert Counter(each.status_code for each in answers) == {201: 3, 413: 5}
        kept = sorted(path.stem for path in service.settings.datasets_directory.iterdir())
        assert kept == sorted(each.json()["id"] for each in answers if each.status_code == 201)
        assert project_of(client)["datasets"] == 3
        assert project_of(client)["dataset_bytes"] == sum(
            len(content) for content, each in zip(files, answers, strict=True) if each.status_code == 201
        )


def test_the_operator_gives_a_project_its_own_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(tmp_path / "data")]
    with local_service(tmp_path / "data", project_bytes=10) as (_, client):
        assert client.post("/v1/networks", content=NETWORK).status_code == 413
        assert run(["projects", "set", "default", "--size", "1MiB", "--retention-days", "30", *data]) == 0
        assert client.post("/v1/networks", content=NETWORK).status_code == 201
        project = project_of(client)
        assert (project["max_bytes"], project["retention_days"], project["networks"]) == (2**20, 30, 1)
    capsys.readouterr()
    assert run(["projects", "set", "default", "--size", "none", "--queued-jobs", "5", "--json", *data]) == 0
    changed = json.loads(capsys.readouterr().out)
    assert (changed["max_bytes"], changed["max_queued_jobs"], changed["retention_days"]) == (None, 5, 30)
    assert run(["projects", "set", "default", "--retention-days", "default", *data]) == 0
    assert run(["projects", "list", *data]) == 0
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row == ["default", f"{len(NETWORK):,}", "any", "1", "0", "0", "0", "5", "all"]
    store = Store(tmp_path / "data" / "bitbudget.sqlite")
    assert store.own_limits().retention_days is None
    store.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["phones"], "nothing is to be changed"),
        (["a b", "--size", "3"], "'a b' is not a valid name"),
        (["phones", "--size", "much"], "not a size in bytes"),
        (["phones", "--queued-jobs", "2.5"], "expected a number from 1"),
        (["phones", "--retention-days", "nan"], "expected a number from 1"),
        (["phones", "--retention-days", "-3"], "expected a number from 1"),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(["projects", "set", *arguments, "--data", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
