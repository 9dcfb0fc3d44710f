"""Reading of uploads in processes with limits: the same result as in this process, and every error by its class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from api.errors import SolvingLimit, Unavailable
from api.execution.task_requests import PARSE, SOLVE, SolveTask
from api.execution.workers import Workers
from api.schemas.fit import FitRequest
from api.services.networks import parse_upload
from api.services.upload_parsing import ParsedUpload, UploadOptions, UploadRequest
from api.settings import MIB, Settings
from api.storage.uploads import Upload, WeightPart
from network.content_identity import content_id
from network.errors import BitbudgetError, NetworkError, RequestError
from solver.options import Method
from tests.api.small_files import BAD_NETWORKS, DIGITS_ONNX, tiny_json

OPTIONS = UploadOptions("a name")


class Parser:
    """The processes of a service, with an event loop in a thread."""

    def __init__(self, portal: BlockingPortal, data: Path) -> None:
        self._portal = portal
        self.workers = portal.call(Workers, Settings(data_directory=data))

    def parse(self, uploaded: Upload, options: UploadOptions) -> ParsedUpload:
        request = UploadRequest(upload=uploaded, options=options).model_dump_json().encode()
        readable = (uploaded.path, *(each.path for each in uploaded.weights))
        answer = self._portal.call(self.workers.read_network, PARSE, request, readable)
        return ParsedUpload.model_validate_json(answer)

    def close(self) -> None:
        self._portal.call(self.workers.close)
        self.workers.reap()


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as opened:
        yield opened


@pytest.fixture(scope="module")
def parser(portal: BlockingPortal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parser]:
    opened = Parser(portal, tmp_path_factory.mktemp("data"))
    yield opened
    opened.close()


def upload(path: Path, *weights: WeightPart) -> Upload:
    return Upload(path, "0" * 64, path.stat().st_size, "a name", weights)


@pytest.mark.parametrize("form", ["onnx", "json"])
def test_the_result_is_that_of_this_process(parser: Parser, tmp_path: Path, form: str) -> None:
    path = DIGITS_ONNX if form == "onnx" else tmp_path / "network"
    if form == "json":
        path.write_bytes(tiny_json())
    there, here = parser.parse(upload(path), OPTIONS), parse_upload(upload(path), OPTIONS)
    assert there.structure == here.structure
    assert there.answer.model_copy(update={"created_at": here.answer.created_at}) == here.answer


@pytest.mark.parametrize("what", BAD_NETWORKS)
def test_errors_are_those_of_this_process(parser: Parser, tmp_path: Path, what: str) -> None:
    path = tmp_path / "network"
    path.write_bytes(BAD_NETWORKS[what][0])
    errors: list[BitbudgetError] = []
    for parse in (parser.parse, parse_upload):
        with pytest.raises(NetworkError) as caught:
            parse(upload(path), OPTIONS)
        errors.append(caught.value)
    assert type(errors[0]) is type(errors[1])
    assert str(errors[0]) == str(errors[1])


def test_errors_in_the_request_keep_their_class(parser: Parser) -> None:
    surplus = WeightPart(DIGITS_ONNX, "0" * 64, 1, "surplus")
    with pytest.raises(RequestError, match="has the weights 'surplus'"):
        parser.parse(upload(DIGITS_ONNX, surplus), OPTIONS)


def test_a_question_that_needs_too_much_memory_says_what_to_do(portal: BlockingPortal, tmp_path: Path) -> None:
    workers = portal.call(partial(Workers, Settings(data_directory=tmp_path, solve_memory_bytes=2 * MIB)))
    layers = [{"name": f"l{index}", "kind": "fully_connected", "output_channels": 4} for index in range(5000)]
    structure = json.dumps({"input": {"shape": [4]}, "layers": layers})
    request = FitRequest(flash=10**6, ram=10**6, method=Method.MIXPC).model_dump_json()
    task = SolveTask(kind="fit", network_id="0" * 64, structure=structure, table=None, request=request)
    solve = partial(workers.solve, wait_seconds=60, seconds=60, whole_seconds=120)
    with pytest.raises(SolvingLimit, match=r"needs more than 2 MiB of memory.*raise BITBUDGET_SOLVE_MEMORY"):
        portal.call(solve, SOLVE, task.model_dump_json().encode())
    portal.call(workers.close)
    workers.reap()


def test_closed_processes_are_unavailable(portal: BlockingPortal, tmp_path: Path) -> None:
    parser = Parser(portal, tmp_path)
    portal.call(parser.workers.start)
    parser.close()
    with pytest.raises(Unavailable, match="try again later"):
        parser.parse(upload(DIGITS_ONNX), OPTIONS)


def test_the_identity_covers_content_and_names() -> None:
    one, two, three = (digit * 64 for digit in "123")
    assert content_id(one, []) == one
    assert content_id(one, [("a", two), ("b", three)]) == content_id(one, [("b", three), ("a", two)])
    ids = {content_id(one, weights) for weights in ([], [("a", two)], [("b", two)], [("a", three)])}
    assert len(ids) == 4
