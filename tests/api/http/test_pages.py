"""Pages of lists: complete, without repetitions, stable while the list changes; cursors that are refused."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.pages import cursor_of, page_of, position_of
from api.http.service import Service
from api.storage.database import Store
from network.errors import RequestError
from tests.api.http.test_uploads import assert_problem
from tests.api.local_service import local_service
from tests.api.small_files import tiny_dataset, tiny_json

LISTS: Final = ("/v1/networks", "/v1/datasets", "/v1/devices", "/v1/jobs", "/problems")
JOB: Final = {"kind": "sensitivity", "network_id": "0" * 64, "dataset": "digits"}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, httpx.Client]]:
    """Return a service with three networks, four datasets and five jobs that have ended."""
    folder = tmp_path_factory.mktemp("pages")
    operated = folder / "operated"
    operated.mkdir()
    for name in ("b", "a"):
        (operated / f"{name}.npz").write_bytes(tiny_dataset(30))
    with local_service(folder / "data", operator_datasets=operated, max_crashes=0) as (service, client):
        for number in range(3):
            description = json.loads(tiny_json())
            description["layers"][0]["name"] = f"first_{number}"
            client.post("/v1/networks", content=json.dumps(description)).raise_for_status()
        client.post("/v1/datasets", content=tiny_dataset(31)).raise_for_status()
        _add_jobs(service.store, 5)
        yield service, client


@pytest.fixture
def client(opened: tuple[Service, httpx.Client]) -> httpx.Client:
    return opened[1]


def _add_jobs(store: Store, count: int) -> list[str]:
    from api.schemas.job_state import JobState

    names = [f"{random.getrandbits(128):032x}" for _ in range(count)]
    for name in names:
        store.add_job(name, JOB, None)
        store.change_job(name, [JobState.QUEUED], state=JobState.CANCELLED)
    return names


def pages(client: httpx.Client, path: str, **query: Any) -> Iterator[list[dict[str, Any]]]:
    cursor = None
    while True:
        asked = query | ({} if cursor is None else {"cursor": cursor})
        page = client.get(path, params=asked).raise_for_status().json()
        yield page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_pages_are_parts_of_the_list(client: httpx.Client, path: str, limit: int) -> None:
    if limit == 1 and path in {"/v1/devices", "/problems"}:
        limit = 7  # the list is long
    (whole,) = pages(client, path, limit=1000)
    parts = list(pages(client, path, limit=limit))
    assert [item for part in parts for item in part] == whole
    assert [len(part) for part in parts[:-1]] == [limit] * (len(parts) - 1)
    assert 1 <= len(parts[-1]) <= limit
    assert len({json.dumps(item, sort_keys=True) for item in whole}) == len(whole)


def test_the_order_is_the_promised_one(client: httpx.Client) -> None:
    datasets = [item["id"] for page in pages(client, "/v1/datasets", limit=1) for item in page]
    assert datasets[:3] == ["digits", "a.npz", "b.npz"]
    networks = [item["created_at"] for page in pages(client, "/v1/networks", limit=2) for item in page]
    assert networks == sorted(networks, reverse=True)
    assert len(networks) == 3


def test_a_summary_is_that_of_the_description_and_small(client: httpx.Client) -> None:
    for item in client.get("/v1/networks").json()["items"]:
        described = client.get(f"/v1/networks/{item['id']}").json()
        assert item == {name: described[name] for name in item}
        assert "layers" not in item
        assert item["has_weights"] is True


def test_a_list_of_networks_reads_no_layers(opened: tuple[Service, httpx.Client]) -> None:
    service, _ = opened
    (file, *_) = service.store.files_page("network", 1, None, ["id", "parameters"])
    assert file.summary.keys() == {"id", "parameters"}


def test_a_list_of_jobs_reads_no_results(opened: tuple[Service, httpx.Client]) -> None:
    from api.schemas.job_state import JobState

    service, _ = opened
    (name,) = _add_jobs(service.store, 1)
    service.store.change_job(name, [JobState.CANCELLED], result={"large": 1}, artifacts=[{"size_bytes": 1}])
    job = next(each for each in service.store.jobs_page() if each.id == name)
    assert (job.result, job.artifacts) == (None, [])
    full = service.store.job(name)
    assert full is not None
    assert full.result == {"large": 1}
    service.store.delete_job(name)


def test_what_comes_and_goes_changes_no_other_item(opened: tuple[Service, httpx.Client]) -> None:
    service, client = opened
    before = [job["id"] for page in pages(client, "/v1/jobs") for job in page]
    seen: list[str] = []
    for page in pages(client, "/v1/jobs", limit=1):
        seen += [job["id"] for job in page]
        (new,) = _add_jobs(service.store, 1)
        service.store.delete_job(seen[-1] if len(seen) == 2 else new)
    assert seen == before


def test_a_filter_is_kept_over_the_pages(client: httpx.Client) -> None:
    (whole,) = pages(client, "/v1/jobs", state="cancelled")
    assert [job for page in pages(client, "/v1/jobs", state="cancelled", limit=2) for job in page] == whole
    assert {job["state"] for job in whole} == {"cancelled"}
    cursor = client.get("/v1/jobs?state=cancelled&limit=1").json()["next_cursor"]
    for query in ({}, {"state": "failed"}):
        refused = client.get("/v1/jobs", params=query | {"cursor": cursor})
        assert "another filter" in assert_problem(refused, 422, "invalid-request")


def _text(document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "%00", "ü", "A" * 1025, _text({}), _text([]), _text({"of": "networks", "after": []}),
        _text({"of": "jobs", "after": ["1"]}), _text({"of": "jobs", "after": [-1]}),
        _text({"of": "jobs", "after": [10**30]}),
        _text({"of": "networks", "after": [float("nan"), "x"]}), _text({"of": "networks", "after": [1.0, "\0"]}),
        _text({"of": "datasets", "after": [1, 0.0, "\0"]}), _text({"of": "devices", "after": ["no device"]}),
        _text({"of": "problems", "after": [1]}),
    ],
)  # fmt: skip
def test_a_wrong_cursor_is_refused(client: httpx.Client, path: str, cursor: str) -> None:
    assert_problem(client.get(path, params={"cursor": cursor}), 422, "invalid-request")


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "many"])
def test_a_wrong_limit_is_refused(client: httpx.Client, limit: str) -> None:
    for path in LISTS:
        assert_problem(client.get(path, params={"limit": limit}), 422, "invalid-request")


@given(st.integers(0, 30), st.integers(1, 12))
def test_pages_of_a_list_in_memory(size: int, limit: int) -> None:
    items = [str(number) for number in range(size)]
    found: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = page_of("list", items, str, limit, cursor)
        found += page
        assert len(page) == limit or cursor is None
        if cursor is None:
            break
    assert found == items


@given(st.text(min_size=1, max_size=60))
def test_a_text_is_no_cursor_by_chance(text: str) -> None:
    with pytest.raises(RequestError):
        position_of("jobs", text, int)
    assert position_of("jobs", cursor_of("jobs", 7), int) == (7,)
