"""The result of a training as text, for the command line."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from api.cli.text.fit import fit_text
from api.schemas.reports import TrainAnswer
from qat.training.label_source import LabelSource


def training_text(answer: TrainAnswer, directory: Path) -> RenderableType:
    """Return the result of a training as text: bits, memory, the accuracies if there is a test set, and the files.

    Args:
        answer: The report of the training, with the files.
        directory: Directory of the files.
    """
    lines = (
        "",
        *_accuracy_lines(answer),
        "",
        f"files in {directory}",
        *(f"  {each.name}  {each.size_bytes:,} bytes" for each in answer.artifacts),
    )
    return Group(fit_text(answer), *map(Text, lines))


def _accuracy_lines(answer: TrainAnswer) -> list[str]:
    accuracy = answer.accuracy
    if accuracy is None:
        return ["accuracy was not measured: the dataset has no test set"]
    return [
        "accuracy on the test set"
        if answer.measured_against is LabelSource.LABELS
        else "agreement with the float network on the test set, which has no labels",
        f"  float           {accuracy.float_:.2f} %",
        f"  fake-quantized  {accuracy.fake_quantized:.2f} %",
        f"  integer-only    {accuracy.integer_only:.2f} %",
    ]
