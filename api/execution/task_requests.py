"""Requests of the tasks that the service runs in processes with limits, and their answers."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from api.schemas.datasets import DatasetAnswer, DatasetOrigin
from api.schemas.received import Received
from api.services.network_files import NetworkFiles
from api.services.network_structures import TableScheme

PARSE, DERIVE, SOLVE, READ_DATASET, CHECK_DATASET = "parse", "derive", "solve", "read dataset", "check dataset"
"""Names of the tasks: parse an uploaded network, derive what a solve needs from a stored one, solve a question, read a
dataset, check that a dataset suits the network and the options of a job."""

QuestionKind = Literal["fit", "devices", "pareto", "job", "check"]
"""Kind of a question; "job" is the fit without samples with which a job is checked before it is created, "check" the
check of a question that a job will answer."""

FINAL: Final = b"1"
"""First byte of the answer to a question that would be the same with a larger time limit; the JSON follows it."""
NOT_FINAL: Final = b"0"
"""First byte of the answer to a question that its time limit may have cut short; the JSON follows it."""


class DeriveRequest(BaseModel):
    """Request for what a solve needs of a stored network.

    Attributes:
        files: Files of the network.
        scheme: Scheme of the sensitivities that are computed from the weights, or all; None for no sensitivities.
    """

    files: NetworkFiles
    scheme: TableScheme | None


class Derived(Received):
    """What a solve needs of a network.

    Attributes:
        structure: JSON description of the layers, without weights.
        table: Sensitivity table from the weights as JSON; None if it was not requested.
    """

    structure: str
    table: str | None


class SolveTask(BaseModel):
    """Question about a network, with all that its answer depends on: its process reads no file.

    Attributes:
        kind: Kind of the question.
        network_id: Identifier of the network, for the answer.
        structure: JSON description of the layers.
        table: Sensitivity table from the weights as JSON; None if the question needs none, or has one.
        request: The request as JSON.
    """

    kind: QuestionKind
    network_id: str
    structure: str
    table: str | None
    request: str


class DatasetFile(BaseModel):
    """Place of a dataset.

    Attributes:
        id: Identifier of the dataset.
        name: Name of the dataset in reports.
        origin: Origin of the dataset.
        path: The file, or the directory of an operator's dataset; None for the built-in dataset.
        size_bytes: Size of an uploaded file, in bytes; None if the dataset was not uploaded.
        max_bytes: Largest memory that its arrays may occupy, in bytes.
    """

    id: str
    name: str
    origin: DatasetOrigin
    path: Path | None
    size_bytes: int | None
    max_bytes: int


class ReadDataset(Received):
    """What the service keeps about a dataset, in addition to its file.

    Attributes:
        answer: Description of the dataset for callers.
        sketch: Content of its sketch (`qat.data.sketch`); None if it has none.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    answer: DatasetAnswer
    sketch: bytes | None


class CheckRequest(BaseModel):
    """Request to check that a dataset suits the network and the options of a job.

    Attributes:
        request: Request for the job, as JSON.
        structure: File with the JSON description of the network's layers.
        sketch: File with the sketch of the dataset; None to read the dataset itself.
        dataset: The dataset.
    """

    request: str
    structure: Path
    sketch: Path | None
    dataset: DatasetFile
