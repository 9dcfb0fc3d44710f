"""Handlers of the HTTP resources under /v1/networks."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response

from api.http.handlers.dependencies import IdempotencyKey, ServiceOf, problems
from api.http.uploads import InputMean, InputScale, UploadName, receive, request_body
from api.schemas.devices import DevicesAnswer, DevicesRequest
from api.schemas.fit import FitAnswer, FitRequest
from api.schemas.jobs import SensitivityJobRequest, SensitivityRequest
from api.schemas.networks import NetworkAnswer, NetworkSummary
from api.schemas.pareto import ParetoAnswer, ParetoRequest
from api.services.jobs import JobAnswer
from network.reading_options import MAX_INPUT_SHAPES, MAX_OUTPUTS, ReadingOptions

router = APIRouter(prefix="/v1/networks", tags=["networks"])

InputShapes = Annotated[
    list[str],
    Query(
        alias="input_shape",
        max_length=MAX_INPUT_SHAPES,
        description="extents of an input whose image size or length the file leaves open, such as 1,40,98; repeated as "
        "NAME=1x40x98 for several inputs",
        examples=[["1,40,98"]],
    ),
]
Outputs = Annotated[
    list[str],
    Query(
        alias="output",
        max_length=MAX_OUTPUTS,
        description="name of a tensor of the file at which the network ends; repeated for several outputs",
    ),
]

NetworkId = Annotated[str, Path(description="identifier that the upload has answered, 64 hexadecimal digits")]


@router.post(
    "",
    operation_id="uploadNetwork",
    status_code=201,
    openapi_extra={"requestBody": request_body(has_weights=True)},
    responses={
        200: {"model": NetworkAnswer, "description": "The service has this content already"},
        **problems(400, 413, 422, 503, 507),
    },
)
async def upload_network(
    request: Request,
    response: Response,
    service: ServiceOf,
    input_shapes: InputShapes = [],  # noqa: B006  # FastAPI copies the default
    outputs: Outputs = [],  # noqa: B006  # FastAPI copies the default
    name: UploadName = None,
    input_mean: InputMean = None,
    input_scale: InputScale = None,
) -> NetworkAnswer:
    """Upload a network: an ONNX file with its files of weights, a TFLite file or a JSON description.

    Equal uploads are kept once, under their SHA-256. The same file with other options of reading is another network.
    """
    options = ReadingOptions.of_texts(input_shapes, outputs, input_mean, input_scale)
    settings = service.settings
    received = receive(
        request, settings.incoming_directory, "network", settings.max_network_bytes, name, has_weights=True
    )
    async with received as upload:
        # Uploads have their own threads, so that those that wait to be read do not keep other requests waiting.
        network, is_new = await to_thread.run_sync(
            service.networks.keep, upload, options, limiter=service.upload_threads
        )
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/networks/{network.id}"
    return network


@router.get("", operation_id="listNetworks", responses=problems())
def list_networks(service: ServiceOf) -> list[NetworkSummary]:
    """List all uploaded networks, newest first."""
    return service.networks.summaries()


@router.get("/{network_id}", operation_id="getNetwork", responses=problems(404))
def get_network(network_id: NetworkId, service: ServiceOf) -> NetworkAnswer:
    """Return an uploaded network: its layers in the order in which they run, and its activation tensors."""
    return service.networks.describe(network_id)


@router.delete("/{network_id}", operation_id="deleteNetwork", status_code=204, responses=problems(404, 409))
def delete_network(network_id: NetworkId, service: ServiceOf) -> None:
    """Delete an uploaded network; refuse it if an unfinished job uses the network."""
    service.networks.delete(network_id)


@router.post("/{network_id}/fit", operation_id="fit", responses=problems(400, 404, 409, 413, 422))
def fit(network_id: NetworkId, request: FitRequest, service: ServiceOf) -> FitAnswer:
    """Choose the bits of every tensor of a network under a memory budget, or return a certificate that nothing fits."""
    return service.networks.fit(network_id, request)


@router.post("/{network_id}/devices", operation_id="fitDevices", responses=problems(400, 404, 409, 413, 422))
def fit_devices(network_id: NetworkId, request: DevicesRequest, service: ServiceOf) -> DevicesAnswer:
    """Fit an uploaded network into each of the given microcontrollers, or into each one of the catalogue."""
    return service.networks.devices(network_id, request)


@router.post("/{network_id}/pareto", operation_id="pareto", responses=problems(400, 404, 409, 413, 422))
def pareto(network_id: NetworkId, request: ParetoRequest, service: ServiceOf) -> ParetoAnswer:
    """Compute a network's smallest summed sensitivity at each budget of flash, RAM or both, with lower bounds."""
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
    """Create a job that measures each tensor's sensitivity; name the job in a fit as {"job_id": ...}."""
    job = service.jobs.create(SensitivityJobRequest(network_id=network_id, **request.model_dump()), idempotency_key)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job
