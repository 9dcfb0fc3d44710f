"""Texts of figures of a shrink: losses, qualities and their limit, with their units."""

from __future__ import annotations

from api.schemas.shrink import ShrinkPointAnswer, ShrinkReport
from qat.options.task import TERMS, Metric


def amount_text(metric: Metric, amount: float) -> str:
    """Return a difference of two figures of a metric as text, such as '0.50 points', '1.00 dB' or '0.0100 R2'."""
    terms = TERMS[metric]
    if terms.unit == "percent":
        return f"{amount:.2f} points"
    return f"{amount:.2f} {terms.unit}" if terms.unit == "dB" else f"{amount:.4f} {terms.words}"


def effect_text(report: ShrinkReport, point: ShrinkPointAnswer) -> str:
    """Return the effect of a point on the quality as text, such as 'loses 0.32 points' or 'reaches 31.20 dB'."""
    if point.loss is None:
        return f"reaches {TERMS[report.metric].text(point.quality)}"
    verb = "gains" if point.loss < 0 else "loses"
    return f"{verb} {amount_text(report.metric, abs(point.loss))}"


def limit_text(report: ShrinkReport) -> str:
    """Return the limit of the quality as text, such as 'at most 0.50 points' or 'at least 30.00 dB'."""
    if report.max_loss is not None:
        return f"at most {amount_text(report.metric, report.max_loss)}"
    return f"at least {TERMS[report.metric].text(report.min_quality)}"


def size_of(report: ShrinkReport, point: ShrinkPointAnswer) -> float:
    """Return the bytes of a point in the memory that is minimized."""
    return getattr(point, f"{report.minimize}_bytes")  # type: ignore[no-any-return]  # both are numbers
