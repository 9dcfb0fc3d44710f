"""Handlers of the HTTP resources under /v1/devices, which are microcontrollers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from api.errors import NotFound
from api.http.handlers.dependencies import problems
from api.http.pages import Limit, PageCursor, page_of
from api.operations.devices import device_answer
from api.schemas.devices import DeviceAnswer
from api.schemas.pages import DevicePage
from network.devices.catalogue import catalogue

router = APIRouter(prefix="/v1/devices", tags=["devices"])


@router.get("", operation_id="listDevices", responses=problems(422))
async def list_devices(limit: Limit = 100, cursor: PageCursor = None) -> DevicePage:
    """List the microcontrollers of the catalogue, sorted by RAM size."""
    devices, following = page_of("devices", list(catalogue().values()), lambda device: device.name, limit, cursor)
    return DevicePage(items=[device_answer(device) for device in devices], next_cursor=following)


@router.get("/{name}", operation_id="getDevice", responses=problems(404))
async def get_device(
    name: Annotated[str, Path(description="name of a device, as listDevices returns it")],
) -> DeviceAnswer:
    """Return one microcontroller of the catalogue: the sizes of its memories, and the source of each number."""
    device = catalogue().get(name)
    if device is None:
        raise NotFound(f"the device {name[:80]!r} does not exist; GET /v1/devices lists all devices")
    return device_answer(device)
