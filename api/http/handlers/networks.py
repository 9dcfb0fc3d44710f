"""The resources under /v1/networks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.http.handlers.dependencies import IdempotencyKey, ServiceOf, problems
from api.http.uploads import MAX_NAME_LENGTH, REQUEST_BODY, receive
from api.schemas.devices import DevicesAnswer, DevicesRequest
from api.schemas.fit import FitAnswer, FitRequest
from api.schemas.jobs import SensitivityJobRequest, SensitivityRequest
from api.schemas.networks import NetworkAnswer, NetworkSummary
from api.schemas.pareto import ParetoAnswer, ParetoRequest
from api.services.jobs import JobAnswer

router = APIRouter(prefix="/v1/networks", tags=["networks"])

NetworkId = Annotated[str, Path(description="SHA-256 of the network file, in hexadecimal")]
Name = Annotated[str | None, Query(max_length=4 * MAX_NAME_LENGTH, description="instead of the file's own name")]


@router.post(
    "",
    operation_id="uploadNetwork",
    status_code=201,
    openapi_extra={"requestBody": REQUEST_BODY},
    responses={200: {"model": NetworkAnswer, "description": "It is kept already"}, **problems(400, 413, 422, 507)},
)
async def upload_network(request: Request, response: Response, service: ServiceOf, name: Name = None) -> NetworkAnswer:
    """Keep a network: an ONNX file, a TFLite file or a JSON description.

    The same content is kept once, under its hash.
    """
    settings = service.settings
    async with receive(request, settings.incoming_directory, "network", settings.max_network_bytes, name) as upload:
        network, is_new = await run_in_threadpool(service.networks.keep, upload)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/networks/{network.id}"
    return network


@router.get("", operation_id="listNetworks", responses=problems())
def list_networks(service: ServiceOf) -> list[NetworkSummary]:
    """All networks, newest first."""
    return service.networks.summaries()


@router.get("/{network_id}", operation_id="getNetwork", responses=problems(404))
def get_network(network_id: NetworkId, service: ServiceOf) -> NetworkAnswer:
    """A network: its layers in schedule order, and its activation tensors."""
    return service.networks.describe(network_id)


@router.delete("/{network_id}", operation_id="deleteNetwork", status_code=204, responses=problems(404, 409))
def delete_network(network_id: NetworkId, service: ServiceOf) -> None:
    """Forget a network that no unfinished job needs."""
    service.networks.delete(network_id)


@router.post("/{network_id}/fit", operation_id="fit", responses=problems(400, 404, 409, 413, 422))
def fit(network_id: NetworkId, request: FitRequest, service: ServiceOf) -> FitAnswer:
    """Choose the bits of every tensor under a budget. What does not fit is an answer too: see `certificate`."""
    return service.networks.fit(network_id, request)


@router.post("/{network_id}/devices", operation_id="fitDevices", responses=problems(400, 404, 409, 413, 422))
def fit_devices(network_id: NetworkId, request: DevicesRequest, service: ServiceOf) -> DevicesAnswer:
    """Which devices the network fits, and how well: those that are named, or the whole catalogue."""
    return service.networks.devices(network_id, request)


@router.post("/{network_id}/pareto", operation_id="pareto", responses=problems(400, 404, 409, 413, 422))
def pareto(network_id: NetworkId, request: ParetoRequest, service: ServiceOf) -> ParetoAnswer:
    """The best summed sensitivity against flash, RAM or both; every point has its proof."""
    return service.networks.pareto(network_id, request)


@router.post(
    "/{network_id}/sensitivity",
    operation_id="measureSensitivity",
    status_code=202,
    responses=problems(400, 404, 409, 413, 422),
)
def measure_sensitivity(
    network_id: NetworkId,
    request: SensitivityRequest,
    response: Response,
    service: ServiceOf,
    idempotency_key: IdempotencyKey = None,
) -> JobAnswer:
    """A job that measures how much each tensor's bits matter; a fit takes its result as {"job_id": ...}."""
    job = service.jobs.create(SensitivityJobRequest(network_id=network_id, **request.model_dump()), idempotency_key)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job
