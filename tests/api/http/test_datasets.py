"""Datasets of the operator, and uploads in every supported form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.small_files import SIDE, npz, tiny_dataset, tiny_json
from tests.qat.data import making

SAMPLES = making.images(SIDE, channels=1, train=60, test=9)
OPERATORS = ["broken", "data.npz", "pets", "shards"]


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    root = tmp_path_factory.mktemp("operated")
    datasets = root / "datasets"
    making.folders(datasets / "pets", SAMPLES)
    making.shards(root / "elsewhere", SAMPLES)
    (datasets / "shards").symlink_to(root / "elsewhere", target_is_directory=True)
    (datasets / "data.npz").write_bytes(tiny_dataset())
    (datasets / "broken").write_bytes(b"nothing")
    for hidden in (".hidden", "a name", "digits", "0" * 64):
        (datasets / hidden).mkdir()
    with LiveService(root / "data", "--datasets", str(datasets)) as running:
        yield running


def test_an_operators_datasets_are_listed_by_name(operated: LiveService) -> None:
    listed = operated.listed("/v1/datasets")
    assert [each["id"] for each in listed] == ["digits", *OPERATORS]
    assert [each["origin"] for each in listed] == ["built-in", *["operator"] * 4]
    assert listed[0]["train_samples"] == 1437
    assert listed[1]["train_samples"] is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pets", ([SIDE, SIDE, 1], "uint8", 60, 9, 3)),
        ("shards", ([SIDE, SIDE, 1], "uint8", 60, 9, 3)),
        ("data.npz", ([1, SIDE, SIDE], "float32", 96, 30, 3)),
    ],
)
def test_an_operators_dataset_says_what_is_in_it(operated: LiveService, name: str, expected: tuple[Any, ...]) -> None:
    answer = operated.http.get(f"/v1/datasets/{name}").json()
    fields = ("sample_shape", "sample_type", "train_samples", "test_samples", "classes")
    assert tuple(answer[field] for field in fields) == expected
    assert (answer["id"], answer["name"], answer["origin"], answer["size_bytes"]) == (name, name, "operator", None)
    assert answer["class_names"] == (list(making.NAMES) if name == "pets" else ["0", "1", "2"])
    assert (sum(answer["train_class_counts"]), sum(answer["test_class_counts"])) == expected[2:4]


def test_a_broken_one_a_foreign_one_and_none_at_all(operated: LiveService) -> None:
    assert "'broken'" in assert_problem(operated.http.get("/v1/datasets/broken"), 422, "invalid-dataset")
    assert_problem(operated.http.delete("/v1/datasets/pets"), 409, "in-use")
    for name in ("..%2felsewhere", "%2e%2e%2felsewhere", ".hidden", "a%20name", "pets%2ftrain", "0" * 64):
        assert operated.http.get(f"/v1/datasets/{name}").status_code == 404, name


def test_a_job_trains_on_an_operators_dataset(operated: LiveService) -> None:
    network = operated.upload_network(tiny_json())
    request = {"network_id": network, "dataset": "shards", "flash": "60kB", "ram": "20kB", "training": {"epochs": 1}}
    job = operated.finished(operated.start_job(**request))
    assert job["state"] == "succeeded", job["error"]
    assert len(job["result"]["epochs"]) == 2
    refused = operated.http.post("/v1/jobs", json=request | {"dataset": "elsewhere"})
    assert_problem(refused, 404, "not-found")


@pytest.mark.parametrize("form", ["tar", "parquet", "unlabelled"])
def test_an_upload_is_kept_as_it_is(service: LiveService, tmp_path: Path, form: str) -> None:
    if form == "tar":
        content = making.one_shard(tmp_path, SAMPLES).read_bytes()
    elif form == "parquet":
        pq.write_table(making.table(SAMPLES.train_x, SAMPLES.train_y.tolist()), tmp_path / "x")
        content = (tmp_path / "x").read_bytes()
    else:
        content = npz(train_x=SAMPLES.train_x, test_x=SAMPLES.test_x)
    before = service.files()
    dataset = service.http.get(f"/v1/datasets/{service.upload_dataset(content)}").json()
    (kept,) = (name for name in service.files() - before if name.startswith("datasets/"))
    assert (service.data / kept).read_bytes() == content
    assert (dataset["origin"], dataset["size_bytes"]) == ("uploaded", len(content))
    counts = (54, 6) if form == "parquet" else (60, 9)  # of one table, some are held out
    assert (dataset["train_samples"], dataset["test_samples"]) == counts
    assert dataset["classes"] == (None if form == "unlabelled" else 3)
    assert service.http.delete(f"/v1/datasets/{dataset['id']}").status_code == 204


def test_uploads_that_are_damaged_leave_nothing(service: LiveService, tmp_path: Path) -> None:
    before = service.files()
    tar = making.one_shard(tmp_path, SAMPLES).read_bytes()
    pq.write_table(making.table(SAMPLES.train_x, SAMPLES.train_y.tolist()), tmp_path / "x")
    parquet = (tmp_path / "x").read_bytes()
    bad = bytearray(tar)
    bad[512 + 20] ^= 0xFF  # in the first image
    for content in (tar[:3000], parquet[:-20], parquet[:200] + bytes(len(parquet) - 200), bytes(bad)):
        response = service.http.post("/v1/datasets", files={"file": ("data.bin", content)})
        assert_problem(response, 422, "invalid-dataset")
    assert service.files() == before


def test_a_directory_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "api.cli.main", "serve", "--port", "0", "--datasets", str(tmp_path / "nowhere")]
    ended = subprocess.run([*command, "--data", str(tmp_path / "data")], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "as the directory of datasets" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
