"""Tasks of the service: functions from the bytes of a request to those of its answer, without access to its database.

Only the server that forks tasks imports this module.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final, TypeVar

# What a reader or a method imports when it is needed is imported here once, before the first fork.
import network.onnx_reading
import network.tflite_reading  # noqa: F401
from api.execution.task_requests import (
    CHECK_DATASET,
    DERIVE,
    FINAL,
    NOT_FINAL,
    PARSE,
    READ_DATASET,
    SOLVE,
    CheckRequest,
    DatasetFile,
    Derived,
    DeriveRequest,
    ReadDataset,
    SolveTask,
)
from api.operations.devices import answer_devices
from api.operations.fit import answer_fit
from api.operations.measures import MeasureChoice
from api.operations.no_samples import is_without_samples, options_without_samples, refuse_shrink_without_samples
from api.operations.pareto import answer_pareto
from api.operations.question import terms_of
from api.operations.shrink.limits import check_limit
from api.schemas.answer import NetworkName
from api.schemas.datasets import DatasetOrigin
from api.schemas.devices import DevicesRequest
from api.schemas.fit import FitRequest
from api.schemas.jobs import (
    JobRequest,
    ParetoJobRequest,
    QuestionJobRequest,
    SensitivityJobRequest,
    ShrinkJobRequest,
    request_of,
)
from api.schemas.pareto import ParetoRequest
from api.schemas.solve import SolveRequest
from api.services.dataset_descriptions import check_samples, describe_dataset
from api.services.network_files import read_files
from api.services.network_structures import ALL_SCHEMES, DamagedFile
from api.services.networks import parse_upload
from api.services.upload_parsing import UploadRequest
from network.devices.catalogue import device_named
from network.errors import BitbudgetError
from network.json_reading.description import read_json, write_json
from network.network import Network
from network.sensitivity.from_weights import weight_sensitivity
from network.sensitivity.table import (
    SensitivityTable,
    check_sensitivity,
    sensitivity_from_json,
    sensitivity_to_json,
)
from qat.data.checks import check_dataset
from qat.data.dataset import Dataset
from qat.data.digits import digits
from qat.data.label_offset import with_label_offset
from qat.data.opening import open_dataset, open_file
from qat.data.sketch import read_sketch, sketch_of
from qat.data.unseen import without_samples
from solver.options import HIGHS_BACKEND, NATIVE_BACKEND
from solver.pareto import check_front
from solver.question import check_question

_Loaded = TypeVar("_Loaded")

_SMALL: Final = b"""{"input": {"shape": [1, 4, 4]}, "layers": [
    {"name": "convolution", "kind": "convolution", "output_channels": 2, "kernel": 3},
    {"name": "classes", "kind": "fully_connected", "output_channels": 2}]}"""
"""Network of the question that is answered before the first fork."""

_KEPT: Final = 8
"""Number of networks that a process keeps in memory."""
SHORT_SECONDS: Final = 20.0
"""Time in seconds after which a part of an answer, such as a certificate, may have been given up."""


def parse(request: bytes) -> bytes:
    """Read an uploaded network: from an `UploadRequest` to a `ParsedUpload`."""
    given = UploadRequest.model_validate_json(request)
    return parse_upload(given.upload, given.options).model_dump_json().encode()


def derive(request: bytes) -> bytes:
    """Compute what a solve needs of a stored network: from a `DeriveRequest` to `Derived`."""
    given = DeriveRequest.model_validate_json(request)
    read = read_files(given.files)
    scheme = None if given.scheme == ALL_SCHEMES else given.scheme
    table = None if given.scheme is None else sensitivity_to_json(weight_sensitivity(read, scheme))
    return Derived(structure=write_json(read, with_weights=False), table=table).model_dump_json().encode()


def solve(request: bytes) -> bytes:
    """Answer a question about a network: from a `SolveTask` to the JSON of its answer, after a byte: final or not.

    An answer for which half of the time limit was enough would be the same with more time.
    """
    began = time.perf_counter()
    task = SolveTask.model_validate_json(request)
    known = _structure(task.structure, task.network_id)
    name = NetworkName(id=task.network_id, name=known.name)
    asked: SolveRequest
    if task.kind in {"fit", "job"}:
        asked = fit_request = _fit_request(task)
        answer = answer_fit(known, name, fit_request, _table(task, asked, known)).model_dump_json()
    elif task.kind == "devices":
        asked = DevicesRequest.model_validate_json(task.request)
        answer = answer_devices(known, name, asked, _table(task, asked, known)).model_dump_json()
    elif task.kind == "check":
        asked = _checked_question(task, known)
        answer = ""
    else:
        asked = ParetoRequest.model_validate_json(task.request)
        answer = answer_pareto(known, name, asked, _table(task, asked, known)).model_dump_json()
    is_final = time.perf_counter() - began < min(asked.time_limit_seconds / 2, SHORT_SECONDS)
    return (FINAL if is_final else NOT_FINAL) + answer.encode()


def _checked_question(task: SolveTask, known: Network) -> QuestionJobRequest:
    """Return the question of a job after all checks that need no solve."""
    asked = request_of(json.loads(task.request))
    assert isinstance(asked, QuestionJobRequest)  # noqa: S101  # other jobs are checked by a fit
    question = terms_of(asked).question(known, _table(task, asked, known))
    check_question(question)
    if isinstance(asked, ParetoJobRequest):
        check_front(question, asked.axis, asked.points)
    return asked


def _fit_request(task: SolveTask) -> FitRequest:
    if task.kind == "fit":
        return FitRequest.model_validate_json(task.request)
    job = request_of(json.loads(task.request))
    assert isinstance(job, JobRequest | ShrinkJobRequest)  # noqa: S101  # the others are not checked by a fit
    return job


def _table(task: SolveTask, asked: SolveRequest, known: Network) -> SensitivityTable | None:
    if task.table is None:
        return MeasureChoice.of(asked).table_without_samples(known)
    return _checked_table(task.table, task.structure, task.network_id)


@lru_cache(maxsize=_KEPT)
def _structure(structure: str, network_id: str) -> Network:
    """Return the layers of a network; a process that stays for several requests reads them once.

    Raises:
        DamagedFile: If the description is damaged: it must be computed again.
    """
    return _loaded(lambda: read_json(structure.encode(), network_id))


@lru_cache(maxsize=_KEPT)
def _checked_table(table: str, structure: str, network_id: str) -> SensitivityTable:
    """Return a sensitivity table that was computed for a network.

    Raises:
        DamagedFile: If the table is damaged: it must be computed again.
    """

    def load() -> SensitivityTable:
        read = sensitivity_from_json(table)
        check_sensitivity(read, _structure(structure, network_id))
        return read

    return _loaded(load)


def _loaded(load: Callable[[], _Loaded]) -> _Loaded:
    """Load what was computed before.

    Raises:
        DamagedFile: If it is missing or damaged: it must be computed again.
    """
    try:
        return load()
    except (BitbudgetError, OSError, UnicodeDecodeError) as error:
        raise DamagedFile("what was computed before is missing or damaged; send the request again") from error


def read_dataset(request: bytes) -> bytes:
    """Read a dataset and describe it: from a `DatasetFile` to `ReadDataset`."""
    given = DatasetFile.model_validate_json(request)
    dataset = _opened(given)
    if given.origin is DatasetOrigin.UPLOADED:
        check_samples(dataset)
    answer = describe_dataset(dataset, given.id, given.origin, given.size_bytes)
    sketch = None if given.origin is DatasetOrigin.OPERATOR else sketch_of(dataset)
    return ReadDataset(answer=answer, sketch=sketch).model_dump_json().encode()


def check_dataset_of_job(request: bytes) -> bytes:
    """Check that a dataset suits the network and the options of a job: from a `CheckRequest` to nothing."""
    given = CheckRequest.model_validate_json(request)
    job = request_of(json.loads(given.request))
    assert not isinstance(job, QuestionJobRequest)  # noqa: S101  # it has no dataset
    known = _loaded(lambda: read_json(given.structure.read_bytes(), job.network_id))
    sketch = given.sketch
    dataset = _opened(given.dataset) if sketch is None else _loaded(lambda: read_sketch(sketch.read_bytes()))
    dataset = with_label_offset(dataset, job.label_offset)
    if is_without_samples(dataset):
        if isinstance(job, ShrinkJobRequest):
            refuse_shrink_without_samples()
        if isinstance(job, JobRequest):
            options_without_samples(job.training)
        return b""
    check_dataset(dataset, known, job.task if isinstance(job, SensitivityJobRequest) else job.training.task)
    if isinstance(job, ShrinkJobRequest):
        check_limit(job, job.training, known, dataset)
    return b""


def _opened(given: DatasetFile) -> Dataset:
    if given.path is None:
        return without_samples(given.id) or digits()
    is_upload = given.origin is DatasetOrigin.UPLOADED
    opened = (open_file if is_upload else open_dataset)(given.path, max_bytes=given.max_bytes)
    return replace(opened, name=given.name)


def prepared_tasks() -> Mapping[str, Callable[[bytes], bytes]]:
    """Return the tasks by their names, after one small question, which loads what a solve loads when it needs it."""
    small = read_json(_SMALL, "small")
    for backend in (NATIVE_BACKEND, HIGHS_BACKEND):
        request = FitRequest(flash=1000, ram=1000, device=device_named("nrf52840"), backend=backend)
        table = weight_sensitivity(small, request.only_scheme)
        answer_fit(small, NetworkName(id="", name="small"), request, table).model_dump_json()
    return {
        PARSE: parse,
        DERIVE: derive,
        SOLVE: solve,
        READ_DATASET: read_dataset,
        CHECK_DATASET: check_dataset_of_job,
    }
