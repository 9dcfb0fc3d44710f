"""Microcontrollers by name: the built-in catalogue, and JSON files in which users describe their own devices.

    {"devices": [{"name": "my-board", "core": "cortex-m4", "flash": "480 KiB", "ram": "96 KiB"}]}

Sizes are whole numbers of bytes, or text with a unit. `docs/devices.md` describes every key.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from network.budget import parse_size_bytes
from network.devices.device import MAX_DEVICE_NAME_LENGTH, Device, Source
from network.errors import NetworkError, RequestError, UnreadableFile
from network.json_reading.fields import Fields, load_object
from network.kernels import IN_PLACE_KERNELS
from network.names import described, shown

MAX_FILE_BYTES: Final = 2**20
"""Largest size of a file of devices, in bytes."""

MAX_DEVICES: Final = 1000
"""Largest number of devices in a file."""

_SIZES: Final = {  # key in the file -> attribute
    "flash": "flash_bytes", "ram": "ram_bytes", "chip_flash": "chip_flash_bytes", "chip_ram": "chip_ram_bytes",
}  # fmt: skip
_KEY_OF: Final = {attribute: key for key, attribute in _SIZES.items()}
_KEYS: Final = (
    "name", "title", "core", "clock_hz", "flash", "ram", "chip_flash", "chip_ram", "flash_is_external", "in_place",
    "reuses_input", "note", "sources",
)  # fmt: skip


@cache
def catalogue() -> Mapping[str, Device]:
    """Return the built-in microcontrollers by name, sorted by usable RAM, then by usable flash, then by name."""
    content = resources.files("network.devices").joinpath("devices.json").read_bytes()
    devices = sorted(devices_from_json(content), key=lambda device: (device.ram_bytes, device.flash_bytes, device.name))
    return MappingProxyType({device.name: device for device in devices})


def device_named(name: str, devices: Mapping[str, Device] | None = None) -> Device:
    """Return the microcontroller that has the given name.

    Args:
        name: Name of the device, in upper or lower case.
        devices: Name of each known device -> the device; None for the built-in catalogue.

    Raises:
        RequestError: if no device has that name; the message lists similar names.
    """
    known = catalogue() if devices is None else devices
    wanted = name.strip().lower()
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted[:MAX_DEVICE_NAME_LENGTH], known, n=5, cutoff=0.5)
    hint = f"similar names are: {', '.join(near)}" if near else "none has a similar name"
    raise RequestError(f"unknown device '{shown(name)}'; expected one of {len(known)} known devices; {hint}")


def devices_from_json(text: str | bytes) -> tuple[Device, ...]:
    """Read the microcontrollers that a JSON file describes, in the order of the file.

    Args:
        text: Content of the file: a JSON object whose key `devices` has a list of devices.

    Raises:
        RequestError: if the content is not valid JSON or too long, if two devices have the same name, or if a device is
            invalid.
    """
    # The decoding below rejects text with half of a surrogate pair.
    content = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(content) > MAX_FILE_BYTES:
        raise RequestError(f"the devices file has {len(content)} bytes; expected at most {MAX_FILE_BYTES} (1 MiB)")
    with _as_request_error():
        entries = Fields(load_object(content), "the devices file", ("devices",)).raw("devices")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_DEVICES:
        raise RequestError(
            f"the devices file has {described(entries)} as its devices; expected a list of 1 to {MAX_DEVICES} devices"
        )
    devices: dict[str, Device] = {}
    for number, entry in enumerate(entries, start=1):
        device = _device(entry, f"device number {number}")
        if device.name in devices:
            raise RequestError(f"two devices in the devices file are named '{shown(device.name)}'; rename one of them")
        devices[device.name] = device
    return tuple(devices.values())


def device_of(given: Any) -> Device:
    """Read a microcontroller from a decoded JSON value.

    Args:
        given: Decoded JSON value: an object with the keys that `docs/devices.md` describes.

    Raises:
        RequestError: if the value is not an object, if a key is missing, unknown or has a value of another type, or if
            the device is invalid.
    """
    return _device(given, "the device")


def device_to_json(device: Device) -> dict[str, Any]:
    """Return a microcontroller as a JSON object with every key; `device_of` reads it back unchanged."""
    return {
        "name": device.name,
        "title": device.title,
        "core": device.core,
        **({} if device.clock_hz is None else {"clock_hz": device.clock_hz}),
        **{key: getattr(device, attribute) for key, attribute in _SIZES.items()},
        "flash_is_external": device.flash_is_external,
        "in_place": sorted(device.in_place),
        "reuses_input": device.reuses_input,
        "note": device.note,
        "sources": [
            {"figures": [_KEY_OF.get(figure, figure) for figure in source.figures], "where": source.where}
            for source in device.sources
        ],
    }


def devices_to_json(devices: Iterable[Device]) -> str:
    """Return the JSON text of a file that describes microcontrollers; `devices_from_json` reads it back unchanged."""
    return json.dumps({"devices": [device_to_json(device) for device in devices]}, indent=1) + "\n"


@contextmanager
def _as_request_error() -> Iterator[None]:
    """Convert errors of the JSON reader, which report an invalid network, to errors that report an invalid request."""
    try:
        yield
    except UnreadableFile as error:
        if isinstance(error.__cause__, RecursionError):
            raise RequestError("the devices file is nested too deep; expected at most six levels") from error
        raise RequestError(f"the devices file cannot be read: {error}") from error
    except NetworkError as error:
        raise RequestError(str(error)) from error


def _device(given: Any, owner: str) -> Device:
    if isinstance(given, dict) and isinstance(given.get("name"), str):
        owner = f"device '{shown(given['name'])}'"
    with _as_request_error():
        fields = Fields(given, owner, _KEYS)
        name = fields.text("name")
        flash_bytes, ram_bytes = _size_bytes(fields, "flash"), _size_bytes(fields, "ram")
        return Device(
            name=name,
            title=fields.text("title", name),
            core=fields.text("core"),
            clock_hz=fields.integer("clock_hz") if "clock_hz" in fields else None,
            chip_flash_bytes=_size_bytes(fields, "chip_flash") if "chip_flash" in fields else flash_bytes,
            chip_ram_bytes=_size_bytes(fields, "chip_ram") if "chip_ram" in fields else ram_bytes,
            flash_bytes=flash_bytes,
            ram_bytes=ram_bytes,
            flash_is_external=fields.flag("flash_is_external", default=False),
            in_place=frozenset(_texts(fields, "in_place", IN_PLACE_KERNELS)),
            reuses_input=fields.flag("reuses_input", default=True),
            note="" if fields.raw("note", "") == "" else fields.text("note"),
            sources=_sources(fields),
        )


def _size_bytes(fields: Fields, key: str) -> int:
    value = fields.raw(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise fields.refused(key, "whole bytes or text with a unit, e.g. 524288 or '512 KiB'")
    return parse_size_bytes(value, f"the {key} of {fields.owner}")


def _texts(fields: Fields, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Read a list of texts from a field of a JSON object, and reject a single text."""
    if isinstance(fields.raw(key, []), str):
        raise fields.refused(key, "a list of names")
    return fields.texts(key, default)


def _sources(fields: Fields) -> tuple[Source, ...]:
    entries = fields.raw("sources", [])
    if not isinstance(entries, list):
        raise fields.refused("sources", "a list of objects with the keys figures and where")
    sources = []
    for number, entry in enumerate(entries, start=1):
        source = Fields(entry, f"source number {number} of {fields.owner}", ("figures", "where"))
        source.raw("figures")
        figures = tuple(_SIZES.get(figure, figure) for figure in _texts(source, "figures"))
        sources.append(Source(figures, source.text("where")))
    return tuple(sources)
