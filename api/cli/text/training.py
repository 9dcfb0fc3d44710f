"""The result of a training as text, for the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from api.cli.text.columns import verdict
from api.cli.text.fit import fit_text
from api.schemas.reports import QualityAnswer, TrainAnswer
from qat.options.task import TERMS, Direction, TaskKind
from qat.training.label_source import LabelSource

TASK_WORDS: Final = {
    TaskKind.CLASSES: "classes",
    TaskKind.TWO_CLASSES: "two classes by one logit",
    TaskKind.LABELS: "several labels",
    TaskKind.REGRESSION: "regression",
    TaskKind.IMAGES: "images or signals out",
    TaskKind.PIXELS: "classes of pixels",
    TaskKind.ANOMALY: "anomalies by the error of the reconstruction",
    TaskKind.FLOAT_OUTPUTS: "the outputs of the float network",
}


def training_text(answer: TrainAnswer, directory: Path) -> RenderableType:
    """Return the result of a training as text: bits, memory, the quality if there is a test set, and the files.

    Args:
        answer: The report of the training, with the files.
        directory: Directory of the files.
    """
    lines = (
        "",
        f"task: {TASK_WORDS[answer.task]}",
        *_quality_lines(answer),
        *_recipe_lines(answer),
        "",
        f"files in {directory}",
        *(f"  {each.name}  {each.size_bytes:,} bytes" for each in answer.artifacts),
    )
    overflow = [] if answer.overflow is None else [verdict(f"\nDOES NOT FIT: {answer.overflow}", is_good=False)]
    return Group(*_first_warning(answer), fit_text(answer), *map(Text, lines), *overflow)


def _first_warning(answer: TrainAnswer) -> list[Text]:
    """Return the warning that stands above everything else: there were no samples."""
    return [verdict(f"{answer.warnings[0]}\n", is_good=False)] if answer.without_samples else []


def _quality_lines(answer: TrainAnswer) -> list[str]:
    quality = answer.quality
    if answer.without_samples:
        return ["quality was not measured: there are no samples"]
    if quality is None:
        return ["quality was not measured: the dataset has no test set"]
    lines = [
        f"{_words(quality, answer)} on the test set",
        *_figures(quality),
    ]
    for other in answer.other_qualities:
        lines += [_words(other, answer), *_figures(other)]
    return lines


def _recipe_lines(answer: TrainAnswer) -> list[str]:
    if not answer.recipe:
        return []
    return ["", "recipe", *(f"  {each.option}: {each.value} ({each.reason})" for each in answer.recipe)]


def _words(quality: QualityAnswer, answer: TrainAnswer) -> str:
    words = TERMS[quality.metric].words
    if quality.direction is Direction.LOWER_IS_BETTER:
        words += " (lower is better)"
    if quality.against is LabelSource.FLOAT_NETWORK:
        of_classes = (
            answer.task is TaskKind.CLASSES and quality.metric is answer.quality.metric if answer.quality else False
        )
        words = "agreement with the float network" if of_classes else f"{words} against the float network"
    is_of_other_output = answer.quality is not None and quality.output != answer.quality.output
    return f"{words} of output '{quality.output}'" if is_of_other_output else words


def _figures(quality: QualityAnswer) -> list[str]:
    terms = TERMS[quality.metric]
    of_float = [] if quality.float_ is None else [f"  float           {terms.text(quality.float_)}"]
    return [
        *of_float,
        f"  fake-quantized  {terms.text(quality.fake_quantized)}",
        f"  integer-only    {terms.text(quality.integer_only)}",
    ]
