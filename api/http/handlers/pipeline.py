"""Handler of POST /v1/pipeline: one call that takes a network and a budget, and answers with bits or a finished job."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile
from pydantic import Json
from starlette.concurrency import run_in_threadpool

from api.http.disconnects import while_connected
from api.http.handlers.dependencies import IdempotencyKey, ServiceOf, problems
from api.http.handlers.jobs import POLL_SECONDS
from api.http.handlers.networks import InputShapes, Outputs
from api.http.project import Project
from api.http.uploads import MAX_WEIGHT_FILES, InputMean, InputScale, receive_parts
from api.schemas.fit import FitRequest
from api.schemas.job_answers import JobAnswer
from api.schemas.jobs import JobRequest, ShrinkJobRequest
from api.schemas.networks import NetworkAnswer, NetworkSummary
from api.schemas.pipeline import (
    PipelineAnswer,
    PipelineFit,
    PipelineLinks,
    PipelineRequest,
    PipelineShrink,
    PipelineTraining,
)
from network.errors import RequestError
from network.reading_options import ReadingOptions

MAX_WAIT_SECONDS: Final = 600
"""Longest time in seconds that a pipeline can wait for its job."""

router = APIRouter(tags=["jobs"])


@router.post(
    "/v1/pipeline",
    operation_id="runPipeline",
    responses={
        202: {"model": PipelineAnswer, "description": "The job has not ended; ask for it at the path in Location"},
        **problems(400, 404, 409, 413, 422, 429, 503, 507),
    },
)
async def run_pipeline(
    request: Request,
    response: Response,
    service: ServiceOf,
    body: Annotated[
        Json[PipelineRequest],
        Form(alias="request", description="budget, device and options as JSON, such as kind, flash, ram, dataset"),
    ],
    network: Annotated[UploadFile, Form(description="network: an ONNX file, a TFLite file or a JSON description")],
    weights: Annotated[
        list[UploadFile],
        Form(max_length=MAX_WEIGHT_FILES, description="files in which an ONNX file keeps weights, under their names"),
    ] = [],  # noqa: B006  # FastAPI copies the default
    dataset: Annotated[UploadFile | None, Form(description="dataset, if the request names none")] = None,
    wait_seconds: Annotated[
        float,
        Query(ge=0, le=MAX_WAIT_SECONDS, description="time in seconds to wait for the end of the job"),
    ] = 0.0,
    input_shapes: InputShapes = [],  # noqa: B006  # FastAPI copies the default
    outputs: Outputs = [],  # noqa: B006  # FastAPI copies the default
    input_mean: InputMean = None,
    input_scale: InputScale = None,
    idempotency_key: IdempotencyKey = None,
) -> PipelineAnswer:
    """Upload a network, perhaps a dataset, and choose bits or run a job: one call for a build pipeline.

    It answers 200 with the bits (kind fit) or with the ended job, and 202 with a job that has not ended in time. The
    same content with the same Idempotency-Key is the same job, also after the connection broke.
    """
    named = _named_dataset(body, has_part=dataset is not None)
    options = ReadingOptions.of_texts(input_shapes, outputs, input_mean, input_scale)
    kept = await _keep_network(request, service, network, weights, options)
    links = PipelineLinks(network=f"/v1/networks/{kept.id}", dataset=None, job=None, artifacts={})
    summary = NetworkSummary.model_validate(kept, from_attributes=True)
    if isinstance(body, PipelineFit):
        asked = FitRequest.model_validate(body.model_dump(exclude={"kind"}, exclude_unset=True))
        fit = await while_connected(request, service.solves.fit("fit", kept.id, asked))
        return PipelineAnswer(kind="fit", network=summary, fit=fit, job=None, links=links)
    dataset_id = named if dataset is None else await _keep_dataset(request, service, dataset)
    kind = JobRequest if isinstance(body, PipelineTraining) else ShrinkJobRequest
    wanted = kind.model_validate(
        body.model_dump(exclude_unset=True) | {"kind": body.kind, "network_id": kept.id, "dataset": dataset_id}
    )
    job = await while_connected(request, service.job_creation.create(wanted, idempotency_key))
    job = await _ended(request, service, job, wait_seconds)
    response.status_code = 200 if job.state.is_final else 202
    path = response.headers["Location"] = f"/v1/jobs/{job.id}"
    links = PipelineLinks(
        network=links.network,
        dataset=f"/v1/datasets/{quote(str(dataset_id))}",
        job=path,
        artifacts={each.name: f"{path}/artifacts/{quote(each.name)}" for each in job.artifacts},
    )
    return PipelineAnswer(kind=body.kind, network=summary, fit=None, job=job, links=links)


def _named_dataset(body: PipelineFit | PipelineTraining | PipelineShrink, *, has_part: bool) -> str | None:
    """Return the dataset that the request names; None if there is a part of the form instead, or none is needed.

    Raises:
        RequestError: If there are two datasets, or none although the job needs one.
    """
    if isinstance(body, PipelineFit):
        if has_part:
            raise RequestError(
                "the form has a part 'dataset'; expected none, because a pipeline of kind 'fit' reads none"
            )
        return None
    if has_part and body.dataset is not None:
        raise RequestError(
            f"the form has a part 'dataset', and the request names {body.dataset[:64]!r}; expected one of the two"
        )
    if not has_part and body.dataset is None:
        raise RequestError("the pipeline has no dataset; expected the part 'dataset', or 'dataset' in the request")
    return body.dataset


async def _keep_network(
    request: Request, service: Project, network: UploadFile, weights: list[UploadFile], options: ReadingOptions
) -> NetworkAnswer:
    settings = service.settings
    received = receive_parts(
        network, weights, settings.incoming_directory, "network", settings.max_network_bytes, None
    )  # fmt: skip
    async with received as upload:
        kept, _ = await while_connected(request, service.reads.keep_network(upload, options))
    return kept


async def _keep_dataset(request: Request, service: Project, dataset: UploadFile) -> str:
    settings = service.settings
    received = receive_parts(dataset, [], settings.incoming_directory, "dataset", settings.max_dataset_bytes, None)
    async with received as upload:
        kept, _ = await while_connected(request, service.reads.keep_dataset(upload))
    return kept.id


async def _ended(request: Request, service: Project, job: JobAnswer, wait_seconds: float) -> JobAnswer:
    """Return the job when it has ended, or when the time has passed or the client has left; the job goes on."""
    give_up_at = time.monotonic() + wait_seconds
    while not job.state.is_final and time.monotonic() < give_up_at:
        await while_connected(request, asyncio.sleep(POLL_SECONDS))
        state, _ = await run_in_threadpool(service.jobs.status, job.id)
        if state.is_final:
            break
    return await run_in_threadpool(service.jobs.job, job.id)
