"""Handlers of the HTTP resources under /v1/networks."""

from __future__ import annotations

from typing import Annotated, Final, cast

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

from api.execution.solving import Answered
from api.http.conditional import not_modified, tag_of
from api.http.disconnects import while_connected
from api.http.handlers.dependencies import IdempotencyKey, ServiceOf, problems
from api.http.pages import Limit, PageCursor, cursor_of, position_of
from api.http.uploads import InputMean, InputScale, UploadName, receive, request_body
from api.schemas.devices import DevicesAnswer, DevicesRequest
from api.schemas.fit import FitAnswer, FitRequest
from api.schemas.job_answers import JobAnswer
from api.schemas.jobs import SensitivityJobRequest, SensitivityRequest
from api.schemas.networks import NetworkAnswer
from api.schemas.pages import NetworkPage
from api.schemas.pareto import ParetoAnswer, ParetoRequest
from network.reading_options import MAX_INPUT_SHAPES, MAX_OUTPUTS, ReadingOptions

router = APIRouter(prefix="/v1/networks", tags=["networks"])

_LIST: Final = "networks"
"""Name of the list of networks in a cursor."""

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
        **problems(400, 413, 422, 429, 503, 507),
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
        network, is_new = await while_connected(request, service.reads.keep_network(upload, options))
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/networks/{network.id}"
    return network


@router.get("", operation_id="listNetworks", responses=problems(422))
def list_networks(service: ServiceOf, limit: Limit = 100, cursor: PageCursor = None) -> NetworkPage:
    """List uploaded networks, newest first."""
    position = cast("tuple[float, str] | None", position_of(_LIST, cursor, float, str))
    networks, last = service.networks.page(limit, position)
    return NetworkPage(items=networks, next_cursor=None if last is None else cursor_of(_LIST, *last))


@router.get(
    "/{network_id}",
    operation_id="getNetwork",
    response_model=NetworkAnswer,
    responses={304: {"description": "The caller has this answer already (If-None-Match)"}, **problems(404)},
)
def get_network(
    network_id: NetworkId, request: Request, response: Response, service: ServiceOf
) -> NetworkAnswer | Response:
    """Return an uploaded network: its layers in the order in which they run, and its activation tensors."""
    network = service.networks.describe(network_id)
    # A network never changes; one that is deleted and uploaded again may have another name.
    return not_modified(request, response, tag_of(network.id, network.created_at)) or network


@router.delete("/{network_id}", operation_id="deleteNetwork", status_code=204, responses=problems(404, 409))
def delete_network(network_id: NetworkId, service: ServiceOf) -> None:
    """Delete an uploaded network; refuse it if an unfinished job uses the network."""
    service.delete_network(network_id)


_PROBLEMS: Final = problems(400, 404, 409, 413, 422, 429, 503)
"""Errors of the questions about a network."""


def _answer(answered: Answered) -> Response:
    """Return the response with an answer that is JSON already; the answer is kept after it was sent."""
    keep = None if answered.keep is None else BackgroundTask(answered.keep)
    return Response(answered.body, media_type=JSONResponse.media_type, background=keep)


@router.post("/{network_id}/fit", operation_id="fit", response_model=FitAnswer, responses=_PROBLEMS)
async def fit(network_id: NetworkId, body: FitRequest, request: Request, service: ServiceOf) -> Response:
    """Choose the bits of every tensor of a network under a memory budget, or return a certificate that nothing fits."""
    return _answer(await while_connected(request, service.solves.answer("fit", network_id, body)))


@router.post("/{network_id}/devices", operation_id="fitDevices", response_model=DevicesAnswer, responses=_PROBLEMS)
async def fit_devices(network_id: NetworkId, body: DevicesRequest, request: Request, service: ServiceOf) -> Response:
    """Fit an uploaded network into each of the given microcontrollers, or into each one of the catalogue."""
    return _answer(await while_connected(request, service.solves.answer("devices", network_id, body)))


@router.post("/{network_id}/pareto", operation_id="pareto", response_model=ParetoAnswer, responses=_PROBLEMS)
async def pareto(network_id: NetworkId, body: ParetoRequest, request: Request, service: ServiceOf) -> Response:
    """Compute a network's smallest summed sensitivity at each budget of flash, RAM or both, with lower bounds."""
    return _answer(await while_connected(request, service.solves.answer("pareto", network_id, body)))


@router.post(
    "/{network_id}/sensitivity",
    operation_id="measureSensitivity",
    status_code=202,
    responses=problems(400, 404, 409, 413, 422, 429, 503),
)
async def measure_sensitivity(
    network_id: NetworkId,
    body: SensitivityRequest,
    request: Request,
    response: Response,
    service: ServiceOf,
    idempotency_key: IdempotencyKey = None,
) -> JobAnswer:
    """Create a job that measures each tensor's sensitivity; name the job in a fit as {"job_id": ...}."""
    wanted = SensitivityJobRequest(network_id=network_id, **body.model_dump())
    job = await while_connected(request, service.job_creation.create(wanted, idempotency_key))
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job
