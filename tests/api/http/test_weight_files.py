"""Networks in several files: an ONNX file and its files of weights, as parts of one form."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import onnx
import pytest

from api.cli.files import read_network_file
from tests.api.conftest import NETWORK_LIMIT_BYTES
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_dataset, tiny_json, tiny_network
from tests.onnx_files import to_onnx

SHARED: Final = Path(__file__).parents[4] / "shared"
DATA: Final = "model.onnx.data"


def saved(folder: Path, *, seed: int = 40, one_file: bool = True) -> dict[str, bytes]:
    """Save the tiny network with its weights in other files; return the content of each file by name."""
    folder.mkdir(exist_ok=True)
    built = onnx.load_from_string(to_onnx(tiny_network(seed=seed)))
    onnx.save(
        built, str(folder / "model.onnx"), save_as_external_data=True, all_tensors_to_one_file=one_file, location=DATA,
        size_threshold=0,
    )  # fmt: skip
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def form(files: dict[str, bytes]) -> list[tuple[str, tuple[str, bytes]]]:
    parts = [("file", ("model.onnx", files["model.onnx"]))]
    return parts + [("weights", (name, content)) for name, content in files.items() if name != "model.onnx"]


def send(service: LiveService, parts: list[tuple[str, Any]]) -> Any:
    return service.http.post("/v1/networks", files=parts)


def test_a_network_in_two_files(service: LiveService, tmp_path: Path) -> None:
    files = saved(tmp_path)
    first = send(service, form(files))
    assert first.status_code == 201, first.text
    network = first.json()
    data = files[DATA]
    assert network["weight_files"] == [
        {"name": DATA, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    ]
    assert network["size_bytes"] == sum(map(len, files.values()))
    assert network["has_weights"]
    assert network["name"] == "model"
    again = send(service, form(files)[::-1])
    assert (again.status_code, again.json()) == (200, network), "the order of the parts does not matter"
    assert network["id"] == read_network_file(str(tmp_path / "model.onnx"))[1].id, "the command has the same identity"
    whole = service.http.post("/v1/networks", content=to_onnx(tiny_network(seed=40))).json()
    assert whole["id"] != network["id"]
    request = {"flash": "9kB", "ram": "1kB"}
    fits = [service.http.post(f"/v1/networks/{each['id']}/fit", json=request).json() for each in (network, whole)]
    assert fits[0]["objective"] == fits[1]["objective"] > 0, "sensitivities are those of the weights"


def test_other_weights_are_another_network(service: LiveService, tmp_path: Path) -> None:
    files = saved(tmp_path, seed=41)
    other = files | {DATA: files[DATA][:-4] + b"\0\0\0\0"}
    ids = [send(service, form(each)).json()["id"] for each in (files, other)]
    assert len(set(ids)) == 2


def test_deleting_removes_all_files(service: LiveService, tmp_path: Path) -> None:
    before = service.files()
    network = send(service, form(saved(tmp_path, seed=42, one_file=False))).json()
    assert len(network["weight_files"]) > 1
    assert len([name for name in service.files() if name.startswith(f"networks/{network['id']}")]) > 2
    assert service.http.delete(f"/v1/networks/{network['id']}").status_code == 204
    assert service.files() == before


def test_a_job_and_a_restarted_service_read_the_weights(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with LiveService(data) as service:
        network = send(service, form(saved(tmp_path / "files", seed=43))).json()
    shutil.rmtree(data / "derived")
    with LiveService(data) as service:
        assert service.http.get(f"/v1/networks/{network['id']}").json() == network
        budget = {"flash": 400, "ram": 60, "method": "mixpc", "accounting": "paper"}
        exact = service.http.post(f"/v1/networks/{network['id']}/fit", json={"flash": "9kB", "ram": "1kB"}).json()
        assert exact["objective"] > 0
        job = service.start_job(
            network_id=network["id"],
            dataset=service.upload_dataset(tiny_dataset()),
            training={"epochs": 1, "batch_size": 32, "threads": 1},
            **budget,
        )
        finished = service.finished(job)
        assert finished["state"] == "succeeded", finished


def test_missing_weights_are_named_with_a_command_that_works(service: LiveService, tmp_path: Path) -> None:
    files = saved(tmp_path, seed=44)
    for response in (
        send(service, form({"model.onnx": files["model.onnx"]})),
        service.http.post("/v1/networks?name=model.onnx", content=files["model.onnx"]),
    ):
        detail = assert_problem(response, 422, "unreadable-file")
        assert f"keeps weights in the file '{DATA}', which the upload does not have (it has no files of" in detail
        (command,) = re.findall(r"curl .*$", detail)
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    words = shlex.split(command.replace("$URL", service.url))
    answer = subprocess.run([*words, "-sS"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert f'"name":"{DATA}"' in answer


def test_a_name_that_a_shell_would_expand_is_not_in_the_command(service: LiveService, tmp_path: Path) -> None:
    built = onnx.load_from_string(to_onnx(tiny_network(seed=45)))
    onnx.save(built, str(tmp_path / "m"), save_as_external_data=True, location="$(id);x", size_threshold=0)
    detail = assert_problem(
        service.http.post("/v1/networks", content=(tmp_path / "m").read_bytes()), 422, "unreadable-file"
    )
    assert 'curl -F file=@NETWORK -F weights=@WEIGHTS "$URL/v1/networks"' in detail


def test_all_missing_files_are_named(service: LiveService, tmp_path: Path) -> None:
    files = saved(tmp_path, seed=46, one_file=False)
    names = sorted(files.keys() - {"model.onnx"})
    detail = assert_problem(send(service, form({"model.onnx": files["model.onnx"]})), 422, "unreadable-file")
    assert all(f"'{name}'" in detail for name in names)


FILES: Final = "the files"


@pytest.mark.parametrize(
    ("what", "slug", "text"),
    [
        ("another name", "unreadable-file", "its files of weights are 'other.data'"),
        ("a path", "unreadable-file", "its files of weights are '../model.onnx.data'"),
        (
            "surplus",
            "invalid-request",
            "has the weights 'more.data', to which the network does not refer; expected 'mo",
        ),
        ("no name", "invalid-request", "has no file name; expected the name under which the ONNX file refers to it"),
        ("twice", "invalid-request", f"two parts 'weights' of the multipart form are named '{DATA}'"),
        ("two networks", "invalid-request", "has 2 files; expected one part 'file'"),
        ("another part", "invalid-request", "a file in the part 'data'; expected files only in the parts 'file' and"),
        ("too short", "invalid-network", f"of '{DATA}', a file of"),
        ("empty", "invalid-network", f"of '{DATA}', a file of 0 bytes"),
        ("too long", "invalid-network", "of which the network uses the first"),
        ("weights of JSON", "invalid-request", "to which the network does not refer; expected no file of weights"),
    ],
)
def test_wrong_parts_are_refused_and_leave_nothing(
    service: LiveService, tmp_path: Path, what: str, slug: str, text: str
) -> None:
    files = saved(tmp_path, seed=47)
    network, data = ("file", ("model.onnx", files["model.onnx"])), files[DATA]
    parts: dict[str, list[tuple[str, Any]]] = {
        "another name": [network, ("weights", ("other.data", data))],
        "a path": [network, ("weights", (f"../{DATA}", data))],
        "surplus": [network, ("weights", (DATA, data)), ("weights", ("more.data", data))],
        "no name": [network, ("weights", (None, data))],
        "twice": [network, ("weights", (DATA, data)), ("weights", (DATA, data))],
        "two networks": [network, network],
        "another part": [network, ("data", (DATA, data))],
        "too short": [network, ("weights", (DATA, data[:-1]))],
        "empty": [network, ("weights", (DATA, b""))],
        "too long": [network, ("weights", (DATA, data + bytes(100_000)))],
        "weights of JSON": [("file", ("n.json", tiny_json())), ("weights", (DATA, data))],
    }
    before = service.files()
    assert text in assert_problem(send(service, parts[what]), 422, slug)
    assert service.files() == before


@pytest.mark.parametrize("location", ["/etc/hostname", "../x", "a/b", ".."])
def test_a_location_is_never_a_path(service: LiveService, tmp_path: Path, location: str) -> None:
    files = saved(tmp_path, seed=48)
    changed = onnx.load(str(tmp_path / "model.onnx"), load_external_data=False)
    for tensor in changed.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = location
    parts = form({"model.onnx": changed.SerializeToString(), location: files[DATA]})
    assert "expected the plain name of a file" in assert_problem(send(service, parts), 422, "unreadable-file")


def test_the_limit_counts_all_files(service: LiveService, tmp_path: Path) -> None:
    files = saved(tmp_path, seed=49)
    half = NETWORK_LIMIT_BYTES // 2
    parts = [*form(files), ("weights", ("a", bytes(half))), ("weights", ("b", bytes(half)))]
    assert f"at most {NETWORK_LIMIT_BYTES} bytes" in assert_problem(send(service, parts), 413, "too-large")
    many = [*form(files), *(("weights", (f"w{number}", b"")) for number in range(300))]
    assert_problem(send(service, many), 400, "malformed-request")


def test_a_service_that_is_killed_leaves_no_reader(tmp_path: Path) -> None:
    service = LiveService(tmp_path / "data")
    service.upload_network(tiny_json())
    readers = readers_of(service.process.pid)
    assert readers
    service.end(signal.SIGKILL)
    for _ in range(200):
        if not any(Path(f"/proc/{reader}").is_dir() for reader in readers):
            return
        time.sleep(0.05)
    raise AssertionError(readers)


def readers_of(service_id: int) -> list[int]:
    """Return the ids of the processes of a service from which tasks are forked."""
    threads = Path(f"/proc/{service_id}/task").iterdir()
    children = [child for thread in threads for child in (thread / "children").read_text().split()]
    return [int(each) for each in children if b"task_server" in Path(f"/proc/{each}/cmdline").read_bytes()]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks are beside the project, not in it")
@pytest.mark.parametrize("name", ["troubles/external/model.onnx", "networks/minimal/weights_outside.onnx"])
def test_published_files(service: LiveService, name: str) -> None:
    path = SHARED / name
    data = path.with_name(f"{path.name}.data")
    parts = [("file", (path.name, path.read_bytes())), ("weights", (data.name, data.read_bytes()))]
    network = send(service, parts).json()
    assert network["has_weights"]
    assert network["id"] == read_network_file(str(path))[1].id
