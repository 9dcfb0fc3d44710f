"""The client against a service that really runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitbudget
from api.client import pages
from api.client.answers import answer_of
from api.client.client import Client
from api.client.errors import JobCancelled, ServiceProblem, StillRunning, VersionMismatch
from api.schemas.fit import FitAnswer, FitRequest
from api.schemas.job_answers import JobAnswer
from api.schemas.job_state import JobState
from deploy.result_folder import STAGING_PREFIX
from network.errors import DatasetError, RequestError
from qat.data.dataset import Dataset, NoSamples
from tests.api.live_service import LiveService
from tests.api.small_files import DIGITS_ONNX, tiny_dataset, tiny_json

RULE: dict[str, Any] = {"method": "mixpc", "accounting": "paper"}
BUDGET: dict[str, Any] = {"flash": 400, "ram": "60", **RULE}


@pytest.fixture
def client(service: LiveService) -> Iterator[Client]:
    with Client(service.url) as running:
        yield running


@pytest.fixture
def dataset_id(client: Client, tmp_path: Path) -> str:
    (tmp_path / "data.npz").write_bytes(tiny_dataset())
    return client.upload_dataset(tmp_path / "data.npz").id


def test_importing_the_client_loads_neither_torch_nor_the_service() -> None:
    code = (
        "import sys; from bitbudget import Client; Client('http://127.0.0.1:1').close(); "
        "heavy = {'torch', 'onnx', 'scipy', 'pyarrow', 'sqlalchemy', 'fastapi', 'uvicorn', 'alembic', 'pulp'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_network_is_sent_once(client: Client, service: LiveService, tmp_path: Path) -> None:
    path = tmp_path / "own name.json"
    path.write_bytes(tiny_json())
    by_path = client.upload_network(path)
    assert client.upload_network(tiny_json(), "another") == by_path  # the first name stays
    named = client.upload_network(tiny_json(), "seen", input_mean=0.5, input_scale=[2.0])
    assert named.id != by_path.id
    assert (named.input_mean, named.input_scale) == ([0.5], [2.0])
    assert client.network(by_path.id) == by_path
    client.delete_network(named)
    with pytest.raises(ServiceProblem, match="does not exist") as caught:
        client.network(named.id)
    assert (caught.value.type, caught.value.status) == ("/problems/not-found", 404)


def test_lists_of_a_service_have_pages(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_ITEMS", 2)
    kept = [client.upload_network(tiny_json(), "tiny", input_mean=mean) for mean in (1.5, 2.5, 3.5)]
    assert [each.id for each in client.networks()][:3] == [each.id for each in reversed(kept)]
    assert next(client.datasets()).id == "digits"
    assert {"nrf52840", "stm32f411re"} < {each.name for each in client.catalogue()}
    for each in kept:
        client.delete_network(each)
    assert not {each.id for each in kept} & {each.id for each in client.networks()}


def test_weights_beside_the_file_are_sent_too(client: Client, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(DIGITS_ONNX)
    onnx.save(model, tmp_path / "d.onnx", save_as_external_data=True, location="d.data", size_threshold=0)
    by_path = client.upload_network(tmp_path / "d.onnx")
    assert [each.name for each in by_path.weight_files] == ["d.data"]
    content, weights = (tmp_path / "d.onnx").read_bytes(), {"d.data": (tmp_path / "d.data").read_bytes()}
    assert client.upload_network(content, "d", weights=weights).id == by_path.id
    with pytest.raises(ServiceProblem, match=r"d\.data"):
        client.upload_network(content, "d")


def test_arrays_become_a_dataset(client: Client) -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((40, 1, 4, 4)).astype(np.float32)
    own = Dataset("own", x, rng.integers(0, 3, 40), NoSamples(x.dtype, x.shape[1:]), None)
    stored = client.upload_dataset(own)
    assert (stored.name, stored.train_samples, stored.test_samples) == ("own", 40, 0)
    assert client.upload_dataset(own) == stored
    client.delete_dataset(stored)


def test_a_dataset_that_is_no_file(client: Client, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected an"):
        client.upload_dataset(tmp_path)
    with pytest.raises(DatasetError, match="cannot read the dataset"):
        client.upload_dataset(tmp_path / "none.npz")


def test_questions_have_the_answers_of_this_machine(client: Client, tmp_path: Path) -> None:
    network = client.upload_network(tiny_json(), "tiny")
    own = bitbudget.read(tiny_json(), "tiny")
    named = {"network": network.model_copy(update={"name": network.name})}
    fitted = client.fit(network, **BUDGET)
    assert fitted == bitbudget.fit(own, **BUDGET).answer.model_copy(
        update={"network": fitted.network.model_copy(update={"name": named["network"].name})}
    )
    assert client.ask(FitAnswer, network.id, FitRequest(**BUDGET)) == fitted
    assert not client.fit(network, **(BUDGET | {"flash": 10})).fits
    fits = client.devices(network, among=["nrf52840", "stm32f411re"], **RULE)
    assert [each.device.name for each in fits.devices] == ["nrf52840", "stm32f411re"]
    front = client.pareto(network, ram=150, points=3, accounting="paper")
    assert front.points
    with pytest.raises(RequestError, match="unknown unit"):
        client.fit(network, flash="18 kilos", ram=1)
    with pytest.raises(ServiceProblem, match="the budget of ram is missing"):
        client.fit(network, flash=400)


def test_a_job_from_its_start_to_its_files(
    client: Client, service: LiveService, dataset_id: str, tmp_path: Path
) -> None:
    network = client.upload_network(tiny_json(), "tiny")
    training = {"epochs": 1, "threads": 1}
    job = client.train(network, dataset_id, training=training, idempotency_key=str(tmp_path), **BUDGET)
    again = client.train(network, dataset_id, training=training, idempotency_key=str(tmp_path), **BUDGET)
    assert again.id == job.id
    with pytest.raises(ServiceProblem) as reused:
        client.train(network, dataset_id, idempotency_key=str(tmp_path), **BUDGET)
    assert reused.value.type == "/problems/idempotency-key-reused"
    with pytest.raises(StillRunning):
        job.download(tmp_path / "out")
    seen: list[bitbudget.Progress] = []
    report = job.wait(progress=seen.append)
    assert seen
    assert report.network.id == network.id
    (weights,) = (each for each in job.artifacts if each.name == "weights.safetensors")
    whole = job.read(weights.name)
    asked = {"Range": "bytes=100-", "If-Range": f'"{weights.sha256}"'}
    rest = service.http.get(f"/v1/jobs/{job.id}/artifacts/{weights.name}", headers=asked)
    assert (rest.status_code, rest.content) == (206, whole[100:])
    begun = tmp_path / f"{STAGING_PREFIX}{job.id[:16]}"
    begun.mkdir()
    (begun / weights.name).write_bytes(whole[:100])  # of a download that was interrupted
    assert job.download(tmp_path / "out") == tmp_path / "out"
    assert not begun.exists()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {each.name for each in job.artifacts}
    assert job.read("report.json") == (tmp_path / "out" / "report.json").read_bytes()
    with pytest.raises(RequestError, match=r"has no file 'none'.*report\.json"):
        job.read("none")
    found = client.job(job.id)
    assert found.report == report
    _check_that_unknown_fields_are_passed_over(service.job(job.id), found.answer)
    job.delete()
    with pytest.raises(ServiceProblem):
        job.refresh()


def test_updates_end_with_the_job_and_a_cancelled_job_has_no_report(client: Client, dataset_id: str) -> None:
    network = client.upload_network(tiny_json(), "tiny")
    job = client.train(network, dataset_id, training={"epochs": 1000, "threads": 1}, **BUDGET)
    with pytest.raises(StillRunning, match="it continues"):
        job.wait(timeout_seconds=0.1)
    states = []
    for answer in job.updates():
        states.append(answer.state)
        if answer.progress is not None and answer.state is JobState.RUNNING:
            job.cancel()
    assert states[-1] is JobState.CANCELLED
    with pytest.raises(JobCancelled):
        job.wait()
    assert job.id in [each.id for each in client.jobs("cancelled")]
    assert not job.retry().state.is_final
    assert not job.retry().state.is_final  # a repeated request has no effect
    job.cancel()


def test_a_job_that_cannot_fit_says_what_is_missing(client: Client, dataset_id: str) -> None:
    network = client.upload_network(tiny_json(), "tiny")
    with pytest.raises(ServiceProblem, match="are missing") as caught:
        client.train(network, dataset_id, **(BUDGET | {"flash": 10}))
    assert caught.value.certificate is not None
    assert caught.value.certificate.budget == "flash"


@pytest.mark.long
def test_a_measured_table_is_used_by_its_job(client: Client, dataset_id: str) -> None:
    network = client.upload_network(tiny_json(), "tiny")
    job = client.sensitivity(network, dataset_id, samples=32)
    assert job.wait().samples == 32
    fitted = client.fit(network, flash="100kB", ram="100kB", sensitivity={"job_id": job.id})
    assert fitted.sensitivity == "fisher"


def _check_that_unknown_fields_are_passed_over(document: dict[str, Any], known: JobAnswer) -> None:
    document["new"] = {"a": 1}
    document["request"]["newer"] = 1
    document["request"]["training"]["newest"] = {"deep": [1]}
    document["result"]["other"] = None
    document["result"]["epochs"][0]["more"] = 1.5
    assert answer_of(JobAnswer, json.dumps(document).encode(), "9.0") == known
    document["state"] = "thinking"
    with pytest.raises(VersionMismatch, match=r"not understood at 'state'.*bitbudget 9\.0"):
        answer_of(JobAnswer, json.dumps(document).encode(), "9.0")
