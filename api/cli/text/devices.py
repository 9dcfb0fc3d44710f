"""Text tables of microcontrollers, and of how a network fits each of them, for the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from api.cli.text.columns import Rows, code, figures, verdict, words
from api.schemas.answer import format_bytes
from api.schemas.devices import DeviceFit, DevicesAnswer
from api.schemas.memory import RegionAnswer
from network.devices.device import Device

_NAMES: Final = {"flash": "flash", "ram": "RAM"}


def catalogue_text(devices: Iterable[Device]) -> RenderableType:
    """Return a text table of microcontrollers: the memory that one program can use, and the memory of the chip."""
    rows = Rows(
        words("device"), words("core"), figures("MHz"), figures("flash"), figures("on the chip"), figures("RAM"),
        figures("on the chip"), words("note"),
    )  # fmt: skip
    for device in devices:
        external = "external " if device.flash_is_external else ""
        rows.add(
            device.name,
            device.core,
            "" if device.clock_hz is None else f"{device.clock_hz / 1e6:g}",
            _kib(device.flash_bytes),
            external + _kib(device.chip_flash_bytes),
            _kib(device.ram_bytes),
            _kib(device.chip_ram_bytes),
            device.note,
        )
    return rows


def devices_text(answer: DevicesAnswer) -> RenderableType:
    """Return a text table with one row for each device that a network was fitted into, and the number of fits."""
    rows = Rows(
        words("device"), words("core"), figures("flash bytes"), figures("used"), figures("RAM bytes"), figures("used"),
        words("code"), words("weights"), words("activations"), figures("objective"), figures("ms"), words(),
    )  # fmt: skip
    for each in answer.devices:
        rows.add(*_device_row(each))
    fitting = sum(each.fits for each in answer.devices)
    lines = [
        "used: required bytes in percent of the usable memory minus the reserves; more than 100 % does not fit",
    ]
    if any(each.latency is not None for each in answer.devices):
        lines.append(
            "ms: latency of one inference at the highest clock, estimated from instructions by kernel and bits"
        )
    if answer.sensitivity is not None:
        lines.append(f"objective: the summed sensitivity ({answer.sensitivity}); smaller is better")
    return Group(
        Text(f"{answer.network.name}: {answer.method}, {answer.accounting} accounting\n"),
        rows,
        verdict(f"\nfits {fitting} of {len(answer.devices)} devices", is_good=fitting > 0),
        *map(Text, lines),
    )


def _device_row(fit: DeviceFit) -> list[str | Text]:
    flash, ram = fit.regions
    missing = [
        f"{format_bytes(each.excess_bytes)} bytes of {_NAMES[each.region]}" for each in fit.regions if each.excess_bytes
    ]
    milliseconds = None if fit.latency is None else fit.latency.milliseconds
    outcome = "FITS" if fit.fits else f"lacks {' and '.join(missing)}" if missing else "DOES NOT FIT"
    return [
        fit.device.name,
        fit.device.core,
        format_bytes(flash.required_bytes),
        _share(flash),
        format_bytes(ram.required_bytes),
        _share(ram),
        code(fit.optimization),
        "" if fit.mean_weight_bits is None else f"{fit.mean_weight_bits:.1f} bits",
        "" if fit.mean_activation_bits is None else f"{fit.mean_activation_bits:.1f} bits",
        "" if fit.objective is None else f"{fit.objective:.4g}",
        "" if milliseconds is None else f"~{milliseconds:,.1f}",
        verdict(outcome, is_good=fit.fits),
    ]


def _share(region: RegionAnswer) -> str:
    return f"{region.required_bytes / region.available_bytes:.0%}" if region.available_bytes else "of 0"


def _kib(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.0f} KiB" if size_bytes % 1024 == 0 else f"{size_bytes:,} bytes"
