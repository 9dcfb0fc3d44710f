"""Handlers of the HTTP resources under /v1/jobs/{id}/artifacts: the files that a job has produced."""

from __future__ import annotations

import base64
from contextlib import ExitStack
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from api.http.artifact_types import PARTS, artifact_content, media_type_of
from api.http.conditional import not_modified
from api.http.handlers.dependencies import ServiceOf, problems
from api.http.handlers.jobs import JobId
from api.http.pages import Limit, PageCursor, page_of
from api.http.ranges import PartialFileResponse
from api.schemas.build import BuildAnswer
from api.schemas.deployment import DeploymentAnswer
from api.schemas.pages import ArtifactPage
from deploy.deployment import DEPLOYMENT_FILE
from deploy.result_folder import LINKED_FILE

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get("/{job_id}/artifacts", operation_id="listArtifacts", responses=problems(404, 409, 422))
def list_artifacts(job_id: JobId, service: ServiceOf, limit: Limit = 100, cursor: PageCursor = None) -> ArtifactPage:
    """List the files that a job has produced.

    A training job: the integer-only network (network.json, weights.safetensors, network.onnx), report.json,
    memory.json, host.py, and NAME-c.zip, the network in C, with deployment.json and vectors.npz, from which
    `bitbudget emit` writes it again. For a device whose compiler the service has, linked.json: predicted and linked
    bytes. A sensitivity job: sensitivity.json. docs/api.md describes each file.
    """
    artifacts = service.jobs.artifacts(job_id)
    page, following = page_of(f"artifacts:{job_id}", artifacts, lambda artifact: artifact.name, limit, cursor)
    return ArtifactPage(items=page, next_cursor=following)


@router.get("/{job_id}/linked", operation_id="getLinkedReport", responses=problems(404, 409))
def get_linked_report(job_id: JobId, service: ServiceOf) -> BuildAnswer:
    """Return predicted and linked bytes of a job's network: the content of linked.json.

    A training for a device has this report if the service has the compiler for the core of the device.
    """
    return BuildAnswer.model_validate_json(service.jobs.content(job_id, LINKED_FILE))


@router.get("/{job_id}/deployment", operation_id="getDeployment", responses=problems(404, 409))
def get_deployment(job_id: JobId, service: ServiceOf) -> DeploymentAnswer:
    """Return how the memory of a job's network was planned, and the work behind it: the content of deployment.json."""
    return DeploymentAnswer.model_validate_json(service.jobs.content(job_id, DEPLOYMENT_FILE))


@router.get(
    "/{job_id}/artifacts/{name}",
    operation_id="getArtifact",
    response_class=FileResponse,
    responses={
        200: {"description": "Content of the file; the ETag is its SHA-256", "content": artifact_content()},
        206: {"description": "The part of the file that Range asks for", "content": artifact_content() | PARTS},
        304: {"description": "The caller has this content already (If-None-Match)"},
        **problems(404, 409, 416),
    },
)
def get_artifact(
    job_id: JobId,
    name: Annotated[str, Path(description="name of a file, as listArtifacts returns it")],
    request: Request,
    response: Response,
    service: ServiceOf,
    byte_range: Annotated[
        str | None,
        Header(
            alias="Range",
            description="parts of the file, such as bytes=500- after a broken download; with If-Range and the ETag, "
            "the answer is the whole file if it is another one now",
        ),
    ] = None,
) -> Response:
    """Return the content of one file that a job has produced, or parts of it."""
    artifact = service.jobs.artifact(job_id, name)
    unchanged = not_modified(request, response, f'"{artifact.sha256}"')
    if unchanged is not None:
        return unchanged
    holds = ExitStack()  # a copy of the file stays until the answer is sent
    path = service.jobs.held_artifact(job_id, artifact, holds)
    digest = base64.b64encode(bytes.fromhex(artifact.sha256)).decode()
    return PartialFileResponse(
        path=path,
        size_bytes=artifact.size_bytes,
        range_header=byte_range,
        media_type=media_type_of(artifact.name),
        filename=artifact.name,
        headers={**response.headers, "Repr-Digest": f"sha-256=:{digest}:"},
        background=BackgroundTask(holds.close),
    )
