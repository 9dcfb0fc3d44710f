"""Picture of the judged points of a shrink, as SVG: loss (or quality) against flash and against RAM.

    filled circle    keeps the limit            ring around it    the chosen point
    open circle      does not keep the limit    open triangle     far beyond the limit, drawn at the edge
    dashed line      the limit

The SVG is written with the standard library: it has some lines, circles and texts, and needs no library for plots. The
same report gives the same picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from api.operations.shrink.axis_ticks import tick_text, ticks_of
from api.operations.shrink.words import effect_text, limit_text
from api.schemas.answer import format_bytes
from api.schemas.shrink import ShrinkPointAnswer, ShrinkReport
from qat.options.task import TERMS

CURVE_FILE: Final = "curve.svg"

_WIDTH: Final = 960
_HEIGHT: Final = 400
_TOP: Final = 84
_PANEL_HEIGHT: Final = 250
_PANEL_WIDTH: Final = 385
_PANEL_LEFTS: Final = (75, 550)

_KEEPS: Final = "#08519c"
_FAILS: Final = "#c0392b"
_GREY: Final = "#999999"

_FARTHEST: Final = 3.0
"""Points that exceed the limit by more than so many times the height between the best point and the limit are drawn at
the edge of the picture."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """Linear map of a range of numbers to positions in the picture.

    Attributes:
        low: Number at `start`.
        high: Number at `end`, more than `low`.
        start: Position of `low`.
        end: Position of `high`.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, number: float) -> float:
        return self.start + (number - self.low) / (self.high - self.low) * (self.end - self.start)

    def is_inside(self, number: float) -> bool:
        margin = 1e-9 * (self.high - self.low)
        return self.low - margin <= number <= self.high + margin

    def clipped(self, number: float) -> float:
        return min(max(number, self.low), self.high)


def curve_svg(report: ShrinkReport) -> str:
    """Return the picture of the judged points of a search as the text of an SVG file."""
    size = {"width": f"{_WIDTH}", "height": f"{_HEIGHT}", "viewBox": f"0 0 {_WIDTH} {_HEIGHT}"}
    font = {"font-family": "Helvetica, Arial, sans-serif", "font-size": "12"}
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg"} | size | font)
    SubElement(svg, "title").text = f"{report.network.name}: {_figure_words(report)} against flash and RAM"
    SubElement(svg, "rect", width="100%", height="100%", fill="white")
    _text(svg, _PANEL_LEFTS[0], 26, _headline(report), size=15, weight="bold")
    _legend(svg, report)
    vertical = _vertical(report)
    for left, memory in zip(_PANEL_LEFTS, ("flash", "ram"), strict=True):
        sizes = [getattr(point, f"{memory}_bytes") for point in report.points]
        margin = 0.08 * (max(sizes) - min(sizes)) or 0.1 * max(sizes)
        horizontal = _Scale(min(sizes) - margin, max(sizes) + margin, left, left + _PANEL_WIDTH)
        _panel(svg, report, memory, horizontal, vertical)
    indent(svg)
    return tostring(svg, encoding="unicode") + "\n"


def _figure(point: ShrinkPointAnswer) -> float:
    return point.quality if point.loss is None else point.loss


def _figure_words(report: ShrinkReport) -> str:
    terms = TERMS[report.metric]
    if report.max_loss is None:
        return terms.words
    return f"loss of {terms.words}"


def _headline(report: ShrinkReport) -> str:
    best = report.best
    if best is None:
        return f"{report.network.name}: no judged point keeps the limit, {limit_text(report)}"
    name = report.minimize.words
    return (
        f"{report.network.name}: {format_bytes(best.flash_bytes)} bytes of flash and {format_bytes(best.ram_bytes)} "
        f"bytes of RAM, {effect_text(report, best).replace('reaches ', '')} (least {name})"
    )


def _vertical(report: ShrinkReport) -> _Scale:
    """Return the vertical scale; a smaller loss, or a larger quality, is below, or above, the limit."""
    figures = [_figure(point) for point in report.points]
    bottom, top = _TOP + _PANEL_HEIGHT, _TOP
    if report.max_loss is not None:
        limit, low = report.max_loss, min(0.0, *figures)
        farthest = limit + _FARTHEST * ((limit - low) or max(*figures, 1e-6))
        high = min(max(limit, *figures), farthest)
    else:
        limit, high = report.min_quality or 0.0, max(figures)
        high = max(high, limit)
        farthest = limit - _FARTHEST * ((high - limit) or max(abs(limit) / 10, 1e-6))
        low = max(min(limit, *figures), farthest)
    margin = 0.06 * (high - low) or 0.5
    return _Scale(low - margin, high + margin, bottom, top)


def _panel(svg: Element, report: ShrinkReport, memory: str, horizontal: _Scale, vertical: _Scale) -> None:
    """Draw the points against one memory, with axes and the limit."""
    panel = SubElement(svg, "g")
    _axes(panel, report, memory, horizontal, vertical)
    limit = report.max_loss if report.max_loss is not None else report.min_quality or 0.0
    _line(panel, horizontal.start, vertical(limit), horizontal.end, vertical(limit), _FAILS, dashes="6 4")
    places = [
        (horizontal(getattr(point, f"{memory}_bytes")), vertical(vertical.clipped(_figure(point))))
        for point in report.points
    ]
    if len(places) > 1 and memory == report.minimize:  # against the other memory, the line might cross itself
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        SubElement(panel, "polyline", points=line, fill="none", stroke=_GREY)
    for index, ((x, y), point) in enumerate(zip(places, report.points, strict=True)):
        colour = _KEEPS if point.keeps_limit else _FAILS
        if vertical.is_inside(_figure(point)):
            inside = colour if point.keeps_limit else "white"
            mark = SubElement(panel, "circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="4.5", fill=inside, stroke=colour)
        else:
            tip = -6 if _figure(point) > vertical.high else 6
            corners = f"{x - 5:.1f},{y:.1f} {x + 5:.1f},{y:.1f} {x:.1f},{y + tip:.1f}"
            mark = SubElement(panel, "polygon", points=corners, fill="white", stroke=colour)
            _text(panel, x + 9, y + (4 if tip < 0 else 2), tick_text(round(_figure(point), 2)))
        mark.set("stroke-width", "1.5")
        size = format_bytes(getattr(point, f"{memory}_bytes"))
        SubElement(mark, "title").text = f"{size} bytes: {effect_text(report, point)}"
        if index == report.chosen:
            ring = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "9", "fill": "none", "stroke": _KEEPS, "stroke-width": "2"}
            SubElement(panel, "circle", ring)


def _axes(panel: Element, report: ShrinkReport, memory: str, horizontal: _Scale, vertical: _Scale) -> None:
    left, right, bottom = horizontal.start, horizontal.end, vertical.start
    for tick in ticks_of(vertical.low, vertical.high, 6):
        _line(panel, left, vertical(tick), right, vertical(tick), "#eeeeee")
        _text(panel, left - 7, vertical(tick) + 4, tick_text(tick), anchor="end")
    kilobytes = ticks_of(horizontal.low / 1000, horizontal.high / 1000, 6)
    for tick in kilobytes:
        _line(panel, horizontal(1000 * tick), bottom, horizontal(1000 * tick), bottom + 5, _GREY)
        _text(panel, horizontal(1000 * tick), bottom + 19, tick_text(tick), anchor="middle")
    _line(panel, left, bottom, right, bottom, _GREY)
    _line(panel, left, bottom, left, vertical.end, _GREY)
    name = "flash" if memory == "flash" else "RAM"
    _text(panel, (left + right) / 2, bottom + 38, f"{name} in kB", anchor="middle")
    unit = {"percent": "points" if report.max_loss is not None else "%", "dB": "dB"}.get(report.unit, "")
    words = f"{_figure_words(report)} in {unit}" if unit else _figure_words(report)
    _text(panel, left - 45, vertical.end - 12, words, anchor="start")


def _legend(svg: Element, report: ShrinkReport) -> None:
    x, y = float(_PANEL_LEFTS[0]), 47.0
    for label, fill, stroke in (("keeps the limit", _KEEPS, _KEEPS), ("does not", "white", _FAILS)):
        SubElement(svg, "circle", cx=f"{x + 5:.1f}", cy=f"{y - 4:.1f}", r="4.5", fill=fill, stroke=stroke)
        _text(svg, x + 16, y, label)
        x += 30 + 6.5 * len(label)
    _line(svg, x, y - 4, x + 24, y - 4, _FAILS, dashes="6 4")
    _text(svg, x + 30, y, f"limit: {limit_text(report)}, on {report.held_out_samples:,} held-out samples")


def _text(
    parent: Element, x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, weight: str = "normal"
) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    SubElement(parent, "text", place | {"font-size": f"{size}", "font-weight": weight, "fill": "#222222"}).text = text


def _line(parent: Element, x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "none") -> None:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    SubElement(parent, "line", ends | {"stroke": colour, "stroke-dasharray": dashes})
