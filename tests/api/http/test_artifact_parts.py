"""Files of jobs over HTTP: parts, entity tags, digests and HEAD."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Final

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.conditional import has_tag
from api.http.ranges import RangeNotSatisfiable, satisfiable
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_dataset, tiny_json

NAMES: Final = ("tiny-c.zip", "weights.safetensors", "report.json")


@pytest.fixture(scope="module")
def job(service: LiveService) -> dict[str, Any]:
    """Return a finished job with real artifacts."""
    request = {
        "network_id": service.upload_network(tiny_json()),
        "dataset": service.upload_dataset(tiny_dataset()),
        "training": {"epochs": 0, "threads": 1},
        "flash": 400, "ram": 60, "method": "mixpc", "accounting": "paper",
    }  # fmt: skip
    job = service.finished(service.start_job(**request))
    assert job["state"] == "succeeded", job
    return job


@pytest.fixture(scope="module", params=NAMES)
def artifact(service: LiveService, job: dict[str, Any], request: pytest.FixtureRequest) -> tuple[str, bytes]:
    """Return the path and the content of an artifact."""
    path = f"/v1/jobs/{job['id']}/artifacts/{request.param}"
    content = service.http.get(path).content
    known = {each["name"]: each["sha256"] for each in job["artifacts"]}
    assert hashlib.sha256(content).hexdigest() == known[request.param]
    return path, content


@pytest.mark.parametrize("asked", ["0-0", "0-99", "7-", "-5", "0-999999999", "-999999999", " 3 - 4", "0-1,2-3,"])
def test_a_part_is_that_of_the_file(service: LiveService, artifact: tuple[str, bytes], asked: str) -> None:
    path, content = artifact
    response = service.http.get(path, headers={"range": f"bytes={asked}"})
    if asked == " 3 - 4":
        assert (response.status_code, response.content) == (200, content), "not the grammar: the header is ignored"
        return
    assert response.status_code == 206
    found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", response.headers["content-range"])
    assert found is not None
    first, last, size = map(int, found.groups())
    assert size == len(content)
    assert response.content == content[first : last + 1]
    expected = {"0-0": (0, 0), "0-99": (0, 99), "7-": (7, size - 1), "-5": (size - 5, size - 1), "0-1,2-3,": (0, 3)}
    assert (first, last) == expected.get(asked, (0, size - 1))


def test_several_parts_are_one_multipart_answer(service: LiveService, artifact: tuple[str, bytes]) -> None:
    path, content = artifact
    response = service.http.get(path, headers={"range": f"bytes=0-3,10-19,-4,{len(content) + 5}-"})
    assert response.status_code == 206
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    parts = list(BytesParser(policy=HTTP).parsebytes(head + response.content).iter_parts())
    size = len(content)
    ranges = [f"bytes {first}-{last}/{size}" for first, last in ((0, 3), (10, 19), (size - 4, size - 1))]
    assert [part["content-range"] for part in parts] == ranges
    assert content[10:20] in response.content
    assert len(response.content) == int(response.headers["content-length"])


def test_a_part_that_does_not_exist_is_a_problem(service: LiveService, artifact: tuple[str, bytes]) -> None:
    path, content = artifact
    response = service.http.get(path, headers={"range": f"bytes={len(content)}-"})
    assert str(len(content)) in assert_problem(response, 416, "range-not-satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(content)}"


@pytest.mark.parametrize("header", ["items=0-3", "bytes=a-b", "bytes=5-2", "bytes", "bytes=", "bytes=,", "bytes=1-2-3"])
def test_a_range_that_is_not_understood_is_ignored(
    service: LiveService, artifact: tuple[str, bytes], header: str
) -> None:
    path, content = artifact
    response = service.http.get(path, headers={"range": header})
    assert (response.status_code, response.content) == (200, content)


def test_a_broken_download_is_continued_only_in_the_same_file(
    service: LiveService, artifact: tuple[str, bytes]
) -> None:
    path, content = artifact
    tag = service.http.get(path).headers["etag"]
    assert tag == f'"{hashlib.sha256(content).hexdigest()}"'
    same = service.http.get(path, headers={"range": "bytes=10-", "if-range": tag})
    assert (same.status_code, same.content) == (206, content[10:])
    for other in ('"another"', f"W/{tag}"):
        response = service.http.get(path, headers={"range": "bytes=10-", "if-range": other})
        assert (response.status_code, response.content) == (200, content)


def test_what_the_caller_has_is_not_sent(service: LiveService, artifact: tuple[str, bytes]) -> None:
    path, _ = artifact
    tag = service.http.get(path).headers["etag"]
    for header in (tag, f'"x", {tag}', f"W/{tag}", "*"):
        response = service.http.get(path, headers={"if-none-match": header})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)
    for header in (tag[1:-1], tag[:-2] + '"', '"x"', ""):
        assert service.http.get(path, headers={"if-none-match": header}).status_code == 200


def test_the_headers_name_the_file_and_its_digest(service: LiveService, artifact: tuple[str, bytes]) -> None:
    path, content = artifact
    response = service.http.get(path)
    assert response.headers["content-disposition"] == f'attachment; filename="{path.rpartition("/")[2]}"'
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    for each in (response, service.http.get(path, headers={"range": "bytes=1-2"})):
        assert each.headers["repr-digest"] == f"sha-256=:{digest}:", "of the whole file, as RFC 9530 says"
    assert response.headers["cache-control"] == "private, no-cache"


def test_head_has_the_headers_of_get(service: LiveService, job: dict[str, Any], artifact: tuple[str, bytes]) -> None:
    path, content = artifact
    network = f"/v1/networks/{job['request']['network_id']}"
    for each in (path, network, f"/v1/jobs/{job['id']}", "/v1/jobs", "/healthz", "/"):
        got, asked = service.http.get(each), service.http.head(each)
        assert (asked.status_code, asked.content) == (200, b"")
        varying = {"date", "x-request-id"}
        assert {name: value for name, value in asked.headers.items() if name not in varying} == {
            name: value for name, value in got.headers.items() if name not in varying
        }, each
    assert service.http.head(path).headers["content-length"] == str(len(content))
    assert service.http.head(path, headers={"range": "bytes=0-1"}).status_code == 200, "only GET has parts"
    missing = service.http.head("/v1/jobs/missing")
    assert (missing.status_code, missing.content) == (404, b"")
    assert service.http.head("/nothing").status_code == 404
    head = service.http.head(path, headers={"if-none-match": service.http.get(path).headers["etag"]})
    assert head.status_code == 304


def test_the_connection_lives_on_after_head_and_parts(service: LiveService, artifact: tuple[str, bytes]) -> None:
    path, content = artifact
    limits = httpx.Limits(max_connections=1)
    with httpx.Client(base_url=service.url, limits=limits) as client:
        for _ in range(3):
            client.head(path)
            assert client.get(path, headers={"range": "bytes=0-3"}).content == content[:4]
            assert client.get(path).content == content


def test_an_answer_that_has_not_changed_is_not_sent(service: LiveService, job: dict[str, Any]) -> None:
    network_id = job["request"]["network_id"]
    for path in (f"/v1/jobs/{job['id']}", f"/v1/networks/{network_id}"):
        first = service.http.get(path)
        again = service.http.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_tag_of_a_job_changes_with_the_job(service: LiveService, job: dict[str, Any]) -> None:
    started = service.start_job(**_again(job))
    seen: dict[str, int] = {}
    revision = 0
    while True:
        response = service.http.get(f"/v1/jobs/{started}", params={"wait_seconds": 20, "after": revision})
        revision = response.json()["revision"]
        seen[response.headers["etag"]] = revision
        if response.json()["finished_at"] is not None:
            break
    assert len(set(seen.values())) == len(seen) >= 2


def _again(job: dict[str, Any]) -> dict[str, Any]:
    names = ("network_id", "dataset", "flash", "ram", "method", "accounting")
    return {name: job["request"][name] for name in names} | {"training": {"epochs": 0, "threads": 1}}


@given(st.integers(1, 300), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=4))
def test_what_is_left_of_a_range_is_what_exists(size_bytes: int, parts: list[tuple[int, int]]) -> None:
    """The bytes of the checked header are those of the given one that the file has."""

    def bytes_of(header: str) -> set[int]:
        found: set[int] = set()
        for part in header.removeprefix("bytes=").split(","):
            first, last = map(int, part.split("-"))
            found |= set(range(first, min(last + 1, size_bytes)))
        return found

    header = "bytes=" + ",".join(f"{min(part)}-{max(part)}" for part in parts)
    expected = bytes_of(header)
    if not expected:
        with pytest.raises(RangeNotSatisfiable):
            satisfiable(header, size_bytes)
        return
    checked = satisfiable(header, size_bytes)
    assert checked is not None
    assert bytes_of(checked) == expected
    assert all(int(part.split("-")[0]) < size_bytes for part in checked.removeprefix("bytes=").split(","))


@given(st.text(alphabet='0123456789-, =bytesW/*"a', max_size=30))
def test_any_header_is_understood_or_ignored(header: str) -> None:
    for text in (header, f"bytes={header}", f"bytes=0-1,{header}"):
        checked: str | None = None
        with contextlib.suppress(RangeNotSatisfiable):
            checked = satisfiable(text, 10)
        assert checked is None or re.fullmatch(r"bytes=(\d+-\d*|-\d+)(,(\d+-\d*|-\d+))*", checked)
    assert has_tag(header, '"a"') is ('"a"' in header or header.strip() == "*")
