"""Devices, Pareto fronts and sensitivities as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from api.cli.text.columns import aligned, bar
from api.schemas.answer import format_bytes
from api.schemas.devices import DeviceFit, DevicesAnswer
from api.schemas.memory import RegionAnswer
from api.schemas.pareto import ParetoAnswer
from api.schemas.reports import SensitivityReport
from network.allocation import BITS
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


def pareto_text(answer: ParetoAnswer) -> str:
    """A row for each point of the front, with the objective as a bar."""
    lines = [f"{answer.network.name}: {answer.accounting} accounting, {answer.sensitivity}", ""]
    if not answer.points:
        return "\n".join([*lines, "NOTHING FITS: the budget that is not varied is too small; fit says what is missing"])
    most = max(point.objective for point in answer.points) or 1.0
    rows = [["flash bytes", "RAM bytes", "objective", "", "proven", "weights", "activations"]]
    for point in answer.points:
        proof = "yes" if point.gap == 0 else f"within {point.gap:.2%}"
        rows.append(
            [
                format_bytes(point.flash_bytes),
                format_bytes(point.ram_bytes),
                f"{point.objective:.4g}",
                bar(point.objective, most),
                proof,
                _histogram(point.weight_bits.values()),
                _histogram(point.activation_bits.values()),
            ]
        )
    lines += aligned(rows)
    if not answer.is_complete:
        lines += ["", "the time ended before all budgets were solved: more points, or smaller ones, may be missing"]
    return "\n".join(lines)


def sensitivity_text(answer: SensitivityReport, out: Path | None) -> str:
    """A row for each tensor; the bar is its figure at 4 bits."""
    lines = [
        f"{answer.network.name}: {answer.sensitivity} on {answer.samples:,} samples in {answer.seconds:.1f} s",
        "the estimated rise of the loss when this tensor alone gets so few bits",
        "",
    ]
    for what, table in (("weights of", answer.weights), ("activations", answer.activations)):
        most = max((row["4"] for row in table.values()), default=0.0) or 1.0
        rows = [[what, *(f"{bits} bits" for bits in BITS), ""]]
        rows += [
            [name, *(f"{row[str(bits)]:.3g}" for bits in BITS), bar(row["4"], most)] for name, row in table.items()
        ]
        lines += [*aligned(rows), ""]
    if out is not None:
        lines.append(f"table written to {out}")
    return "\n".join(lines).rstrip()


def _histogram(bits: Iterable[int]) -> str:
    """How many tensors have 8, 4 and 2 bits: '12x8 3x4 1x2'."""
    given = list(bits)
    return " ".join(f"{given.count(each)}x{each}" for each in BITS if each in given)


def _kib(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.0f} KiB" if size_bytes % 1024 == 0 else f"{size_bytes:,} bytes"
