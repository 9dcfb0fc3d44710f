"""Checks of a shrink that need the network and the dataset, before anything is computed."""

from __future__ import annotations

from api.schemas.shrink import ShrinkRequest
from network.errors import RequestError
from network.network import Network
from qat.data.dataset import Dataset
from qat.data.images import fitted
from qat.options.training import TrainingOptions
from qat.tasks.choice import choose_task
from qat.tasks.float_figure import has_float_figure

TOLERANCE = 1e-9
"""Excess over a limit that is ignored, because figures are rounded to binary fractions."""


def check_limit(request: ShrinkRequest, options: TrainingOptions, network: Network, dataset: Dataset) -> None:
    """Reject a limit of quality that the task of a network does not have.

    Args:
        request: The request with the limit.
        options: Training options, which may name the task.
        network: The network; its weights are not needed.
        dataset: The samples, with their targets if there are any.

    Raises:
        DatasetError: If the targets suit no output of the network, or not the task.
        RequestError: If a loss is limited and the float network has no quality, or the other way round.
    """
    task = choose_task(network, fitted(dataset, network), options.task)
    if has_float_figure(task):
        if request.max_loss is None:
            raise RequestError(
                f"min_quality is given, and the task is '{task.kind}', for which the float network has a quality of "
                "its own; give max_loss, the largest allowed difference from it (0.5 points, 1 dB, 0.01 R2)"
            )
    elif request.min_quality is None:
        raise RequestError(
            f"max_loss is given, and the task is '{task.kind}' with the float network's own outputs as targets, so "
            "that it has no quality to lose; give min_quality, such as 30 for a signal-to-noise ratio of 30 dB, or a "
            "dataset with targets"
        )


def keeps_limit(request: ShrinkRequest, quality: float, float_quality: float | None) -> bool:
    """Return whether a quality on the held-out samples keeps the limit of a request.

    Args:
        request: The request with the limit.
        quality: Quality of the integer-only network.
        float_quality: Quality of the float network; None if it has none, for which the request has min_quality.
    """
    if request.max_loss is not None and float_quality is not None:
        return float_quality - quality <= request.max_loss + TOLERANCE
    return request.min_quality is not None and quality >= request.min_quality - TOLERANCE
