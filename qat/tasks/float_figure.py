"""Tasks for which the float network itself has a quality, so that a loss of quality can be measured. No torch."""

from __future__ import annotations

from typing import Final

from qat.options.task import TaskKind
from qat.tasks.choice import Task
from qat.training.label_source import LabelSource

_NUMBERS: Final = frozenset({TaskKind.REGRESSION, TaskKind.IMAGES})


def has_float_figure(task: Task) -> bool:
    """Return whether the float network has a quality of its own on the training set.

    It has none if its own outputs are the targets: a distance of the outputs from themselves says nothing. Classes that
    the float network predicts are targets like labels, and its accuracy is then 100 %.

    Args:
        task: The task.
    """
    if task.kind is TaskKind.FLOAT_OUTPUTS:
        return False
    return task.learned_from is LabelSource.LABELS or task.kind not in _NUMBERS
