"""Read a result that is compared: the answer of a fit, the report of a job, or the report of a build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ValidationError

from api.schemas.answer import format_bytes
from api.schemas.compared_documents import BuildDocument, FitDocument
from api.schemas.comparison import ComparedQuality, ComparedResult, LayerFigures
from network.allocation import Bits
from network.errors import RequestError
from qat.options.task import Direction, Metric

_REGIONS: Final = {"flash": "flash", "ram": "RAM"}


@dataclass(frozen=True, slots=True)
class Result:
    """A result that can be compared with another one.

    Attributes:
        figures: Figures of the whole network.
        layers: Figures of each layer by its name, in the order of the layers.
        shared: Size in bytes of each part that all layers share, by kind of memory ("flash" or "ram") and name.
        is_build_good: Whether a build keeps all that was promised; True for other results.
    """

    figures: ComparedResult
    layers: Mapping[str, LayerFigures]
    shared: Mapping[tuple[Literal["flash", "ram"], str], int]
    is_build_good: bool = True


def result_of(document: Mapping[str, Any], what: str) -> Result:
    """Return the compared figures of an answer of `bitbudget fit`, a job's report, or a build's report.

    Args:
        document: The JSON object.
        what: Name of the document in error messages, such as its path.

    Raises:
        RequestError: If the object is none of these documents, or has no result.
    """
    if document.get("kind") == "shrink":
        chosen = document.get("result")
        if not isinstance(chosen, dict):
            raise RequestError(f"{what} is a report of shrink without a result: no point keeps the limit of quality")
        document = chosen
    try:
        if "sections" in document:
            return _of_build(BuildDocument.model_validate(document))
        return _of_fit(FitDocument.model_validate(document))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:60].encode("unicode_escape").decode() for part in first["loc"])
        raise RequestError(
            f"{what} is not a result that can be compared ({where}: {first['msg'][:100]}); expected the output of "
            "'bitbudget fit --json', the report.json of a job, or the linked.json of a build"
        ) from None


def _of_fit(given: FitDocument) -> Result:
    steps = {step.layer: step for step in given.memory.steps}
    stored = {layer.layer: layer for layer in given.memory.layers}
    layers = {
        name: LayerFigures(
            flash_bytes=stored[name].flash_bytes if name in stored else None,
            ram_bytes=steps[name].ram_bytes if name in steps else None,
            weight_bits=stored[name].weight_bits if name in stored else None,
            output_bits=given.activation_bits.get(steps[name].output) if name in steps else None,
        )
        for name in (*steps, *(name for name in stored if name not in steps))
    }
    figures = ComparedResult(
        kind="fit" if given.kind in {None, "fit"} else "training",
        network=given.network.name,
        device=given.device,
        optimization=given.optimization,
        fits=given.fits,
        problem=_problem(given),
        flash_bytes=given.memory.flash_bytes,
        ram_bytes=given.memory.ram_bytes,
        flash_budget_bytes=given.budget.flash_bytes,
        ram_budget_bytes=given.budget.ram_bytes,
        peak_layer=given.memory.peak_layer,
        weight_tensors=_tally(layer.weight_bits for layer in given.memory.layers if layer.weight_bits is not None),
        activation_tensors=_tally(given.activation_bits.values()),
        quality=_quality(given),
        sensitivity=given.sensitivity,
        objective=given.objective,
        cycles=None if given.latency is None else given.latency.cycles,
    )
    return Result(figures, layers, {(each.region, each.part): each.size_bytes for each in given.memory.shared})


def _problem(given: FitDocument) -> str | None:
    if given.fits:
        return None
    if given.certificate is not None:
        return given.certificate.sentence
    return given.overflow or "it exceeds its budget"


def _quality(given: FitDocument) -> ComparedQuality | None:
    if given.quality is not None:
        quality = given.quality
        return ComparedQuality(
            metric=quality.metric, direction=quality.direction, against=quality.against, figure=quality.integer_only
        )
    if given.accuracy is not None:  # reports of earlier versions
        return ComparedQuality(
            metric=Metric.ACCURACY, direction=Direction.HIGHER_IS_BETTER, against="labels",
            figure=given.accuracy.integer_only,
        )  # fmt: skip
    return None


def _tally(bits: Iterable[Bits]) -> dict[str, int]:
    """Return how often each number of bits occurs, the largest number of bits first."""
    return {f"{each}": count for each, count in sorted(Counter(bits).items(), reverse=True)}


def _of_build(given: BuildDocument) -> Result:
    flash = Counter[str]()
    for part in given.layers:
        flash[part.layer] += part.linked_bytes
    shared = Counter[tuple[Literal["flash", "ram"], str]]()
    for function in given.functions:
        shared["flash", function.part] += function.linked_bytes
    for section in given.sections:
        if section.part in {"arena", "stack"}:
            shared["ram", section.part] += section.linked_bytes
    excess = " and ".join(
        f"{format_bytes(more)} bytes of {_REGIONS[region]}" for region, more in given.excess_bytes.items()
    )
    problem = f"the linker finds {excess} too many" if excess else None
    if problem is None and not given.is_good:
        problem = "the build is not as predicted, or fails the audit or the self-test"
    figures = ComparedResult(
        kind="build", network=given.network, device=given.device,
        optimization=given.optimization, fits=not given.excess_bytes, problem=problem,
        flash_bytes=given.flash_bytes, ram_bytes=given.ram_bytes, flash_budget_bytes=given.flash_budget_bytes,
        ram_budget_bytes=given.ram_budget_bytes, peak_layer=None, weight_tensors={}, activation_tensors={},
        quality=None, sensitivity=None, objective=None, cycles=None,
    )  # fmt: skip
    layers = {
        name: LayerFigures(flash_bytes=size, ram_bytes=None, weight_bits=None, output_bits=None)
        for name, size in flash.items()
    }
    return Result(figures, layers, shared, is_build_good=given.is_good)
