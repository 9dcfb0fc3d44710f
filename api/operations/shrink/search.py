"""Bisection over the points of a Pareto front: which points are judged, and how each of them came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from api.operations.shrink.limits import keeps_limit
from api.operations.shrink.points import PointTrainer, held_out_quality_of, seconds_of, train_apart
from api.schemas.reports import TrainingReport
from network.network import Network
from qat.fan_out import IN_ORDER, FanOut, of_first_part
from qat.progress import Report
from solver.bisection import expected_judgements, may_be_judged, next_to_judge
from solver.pareto import ParetoPoint

if TYPE_CHECKING:  # it imports torch, which must not be imported before `wait_without_spinning` is called
    from qat.training.held_out import HeldOutQuality


@dataclass(frozen=True, slots=True)
class JudgedPoint:
    """A point of the front with the report of its integer-only network.

    Attributes:
        point: The point.
        report: Report of its training.
        quality: Quality of the integer-only network on the held-out samples.
        keeps_limit: Whether this quality keeps the limit of the request, and the integer-only network the bytes of the
            point.
    """

    point: ParetoPoint
    report: TrainingReport
    quality: float
    keeps_limit: bool


@dataclass(frozen=True, slots=True)
class Search:
    """A finished search.

    Attributes:
        float_network: Quality of the float network on the held-out samples.
        judged: Number of each judged point, in ascending order of bytes -> the point.
        kept_seconds: Time in seconds of the points that an interrupted search had finished.
    """

    float_network: HeldOutQuality
    judged: dict[int, JudgedPoint]
    kept_seconds: float


def search(
    trainer: PointTrainer, network: Network, points: Sequence[ParetoPoint], report: Report, fan_out: FanOut = IN_ORDER
) -> Search:
    """Judge points of a front until the least bytes that keep the limit are found.

    Where several points can be trained at the same time, those are trained together that may be judged next, whatever
    comes out. Which points are judged, and how, does not depend on it.

    Args:
        trainer: Trainer of the points.
        network: The float network.
        points: All points of the front, in ascending order of bytes.
        report: Callback that receives the progress of judging the float network.
        fan_out: Places that train points.

    Raises:
        ConversionError: If a trained network cannot be converted to integers.
        TrainingError: If a training fails.
    """
    from qat.training.held_out import held_out_quality

    float_network = held_out_quality(network, trainer.dataset, trainer.options, report=report)
    judged: dict[int, JudgedPoint] = {}
    kept_seconds, trained_apart = 0.0, set[int]()
    while True:
        outcomes = {number: each.keeps_limit for number, each in judged.items()}
        number = next_to_judge(len(points), outcomes)
        if number is None:
            break
        trainer.progress.begin(len(judged) + 1, len(judged) + expected_judgements(len(points), outcomes))
        point = points[number]
        found = trainer.kept(point)
        if found is None and fan_out.width > 1:
            together = may_be_judged(len(points), outcomes, fan_out.width)
            trained_apart.update(_train_together(trainer, points, together, fan_out))
            found = trainer.kept(point)
        if found is None:
            found = trainer.trained(point)
        elif number not in trained_apart:
            kept_seconds += seconds_of(found)
        quality = held_out_quality_of(found)
        is_kept = found.fits and keeps_limit(trainer.request, quality, float_network.float_network)
        judged[number] = JudgedPoint(point, found, quality, is_kept)
    return Search(float_network, dict(sorted(judged.items())), kept_seconds)


def _train_together(
    trainer: PointTrainer, points: Sequence[ParetoPoint], numbers: Sequence[int], fan_out: FanOut
) -> list[int]:
    """Train those of some points that are not kept, keep their files, and return their numbers.

    The first of them, which is judged next, has the progress.
    """
    missing = [number for number in numbers if trainer.kept(points[number]) is None]
    wanted = [points[number] for number in missing]
    for part, files in fan_out.map(train_apart, trainer.without_progress(), wanted, of_first_part(trainer.progress)):
        trainer.keep(wanted[part], files)
    trainer.progress.end()
    return missing
