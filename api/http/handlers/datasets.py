"""Handlers of the HTTP resources under /v1/datasets."""

from __future__ import annotations

from typing import Annotated, Final, cast

from fastapi import APIRouter, Path, Request, Response

from api.http.disconnects import while_connected
from api.http.handlers.dependencies import ServiceOf, problems
from api.http.pages import Limit, PageCursor, cursor_of, position_of
from api.http.uploads import UploadName, receive, request_body
from api.schemas.datasets import DatasetAnswer
from api.schemas.pages import DatasetPage
from api.services.datasets import Position

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

_LIST: Final = "datasets"
"""Name of the list of datasets in a cursor."""

DatasetId = Annotated[
    str, Path(description="SHA-256 of an uploaded file, in hexadecimal; the name of an operator's dataset; or digits")
]


@router.post(
    "",
    operation_id="uploadDataset",
    status_code=201,
    openapi_extra={"requestBody": request_body()},
    responses={
        200: {"model": DatasetAnswer, "description": "The service has this content already"},
        **problems(400, 413, 422, 429, 503, 507),
    },
)
async def upload_dataset(
    request: Request, response: Response, service: ServiceOf, name: UploadName = None
) -> DatasetAnswer:
    """Upload a dataset: an .npz, a .parquet with encoded images, or a .tar (WebDataset). Equal files are kept once."""
    settings = service.settings
    async with receive(request, settings.incoming_directory, "dataset", settings.max_dataset_bytes, name) as upload:
        dataset, is_new = await while_connected(request, service.reads.keep_dataset(upload))
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/datasets/{dataset.id}"
    return dataset


@router.get("", operation_id="listDatasets", responses=problems(422, 429, 503))
async def list_datasets(
    request: Request, service: ServiceOf, limit: Limit = 100, cursor: PageCursor = None
) -> DatasetPage:
    """List the built-in dataset, then the datasets of the operator by name, then uploaded datasets, newest first."""
    position = cast("Position | None", position_of(_LIST, cursor, int, float, str))
    datasets, last = await while_connected(request, service.reads.dataset_page(limit, position))
    return DatasetPage(items=datasets, next_cursor=None if last is None else cursor_of(_LIST, *last))


@router.get("/{dataset_id}", operation_id="getDataset", responses=problems(404, 422, 429, 503))
async def get_dataset(dataset_id: DatasetId, request: Request, service: ServiceOf) -> DatasetAnswer:
    """Describe a dataset: the shape, the data type and the number of its samples."""
    return await while_connected(request, service.reads.describe_dataset(dataset_id))


@router.delete("/{dataset_id}", operation_id="deleteDataset", status_code=204, responses=problems(404, 409))
def delete_dataset(dataset_id: DatasetId, service: ServiceOf) -> None:
    """Delete an uploaded dataset; refuse it if an unfinished job uses the dataset."""
    service.datasets.delete(dataset_id)
