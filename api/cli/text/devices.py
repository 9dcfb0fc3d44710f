"""Devices, and how a network fits them, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from api.cli.text.columns import aligned
from api.schemas.answer import format_bytes
from api.schemas.devices import DeviceFit, DevicesAnswer
from api.schemas.memory import RegionAnswer
from network.devices.device import Device


def catalogue_text(devices: Iterable[Device]) -> str:
    """The devices: what one program can use, and what there is."""
    rows = [["device", "core", "MHz", "flash", "on the chip", "RAM", "on the chip", "note"]]
    for device in devices:
        external = " external" if device.flash_is_external else ""
        rows.append(
            [
                device.name,
                device.core,
                "" if device.clock_hz is None else f"{device.clock_hz / 1e6:g}",
                _kib(device.flash_bytes),
                _kib(device.chip_flash_bytes) + external,
                _kib(device.ram_bytes),
                _kib(device.chip_ram_bytes),
                device.note,
            ]
        )
    return "\n".join(aligned(rows))


def devices_text(answer: DevicesAnswer) -> str:
    """A row for each device, and how many the network fits."""
    lines = [f"{answer.network.name}: {answer.method}, {answer.accounting} accounting", ""]
    rows = [
        ["device", "core", "flash bytes", "used", "RAM bytes", "used", "weights", "activations", "objective", "ms", ""]
    ]
    rows += [_device_row(each) for each in answer.devices]
    fitting = sum(each.fits for each in answer.devices)
    lines += aligned(rows)
    lines += ["", f"fits {fitting} of {len(answer.devices)} devices"]
    lines.append("used: of what one program can use of the device, less what is reserved; more than that is not there")
    if any(each.latency is not None for each in answer.devices):
        lines.append("ms: estimated from instructions by kernel and bits, at the highest clock")
    if answer.sensitivity is not None:
        lines.append(f"objective: the summed sensitivity ({answer.sensitivity}); the smaller the better")
    return "\n".join(lines)


def _device_row(fit: DeviceFit) -> list[str]:
    flash, ram = fit.regions
    short = [
        f"{format_bytes(each.excess_bytes)} bytes of {_NAMES[each.region]}" for each in fit.regions if each.excess_bytes
    ]
    milliseconds = None if fit.latency is None else fit.latency.milliseconds
    return [
        fit.device.name,
        fit.device.core,
        format_bytes(flash.required_bytes),
        _share(flash),
        format_bytes(ram.required_bytes),
        _share(ram),
        "" if fit.mean_weight_bits is None else f"{fit.mean_weight_bits:.1f} bits",
        "" if fit.mean_activation_bits is None else f"{fit.mean_activation_bits:.1f} bits",
        "" if fit.objective is None else f"{fit.objective:.4g}",
        "" if milliseconds is None else f"~{milliseconds:,.1f}",
        "FITS" if fit.fits else f"lacks {' and '.join(short)}" if short else "DOES NOT FIT",
    ]


def _share(region: RegionAnswer) -> str:
    return f"{region.required_bytes / region.available_bytes:.0%}" if region.available_bytes else "of 0"


_NAMES = {"flash": "flash", "ram": "RAM"}


def _kib(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.0f} KiB" if size_bytes % 1024 == 0 else f"{size_bytes:,} bytes"
