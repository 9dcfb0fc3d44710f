"""The function `pareto`, which computes the trade-off between a network's sensitivity and its memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Unpack

from api.cli.text.columns import plain
from api.cli.text.pareto import pareto_text
from api.operations.pareto import answer_pareto
from api.operations.question import terms_of
from api.schemas.keywords import BudgetOptions, DeviceLike, Size, request_of
from api.schemas.pareto import ParetoAnswer, ParetoPointAnswer, ParetoRequest
from bitbudget._budgets import DatasetLike, table_for
from bitbudget._reading import name_of
from network.network import Network
from qat.progress import Report


@dataclass(frozen=True, eq=False, repr=False)
class ParetoResult:
    """Pareto front of a network; `print` shows it as text.

    Attributes:
        answer: The answer, as the service sends it; `answer.model_dump_json()` is its JSON.
    """

    answer: ParetoAnswer

    @property
    def points(self) -> Sequence[ParetoPointAnswer]:
        """Points of the Pareto front, from the smallest memory to the largest; empty if nothing fits."""
        return self.answer.points

    @property
    def is_complete(self) -> bool:
        """Whether the Pareto front was computed for all budgets within the time limit."""
        return self.answer.is_complete

    def __str__(self) -> str:
        return plain(pareto_text(self.answer))

    def __repr__(self) -> str:
        return f"<ParetoResult of {self.answer.network.name}: {len(self.points)} points along {self.answer.axis}>"


def pareto(
    network: Network,
    *,
    axis: Literal["flash", "ram", "both"] = "flash",
    points: int = 20,
    flash: Size | None = None,
    ram: Size | None = None,
    device: DeviceLike | None = None,
    data: DatasetLike | None = None,
    progress: Report | None = None,
    **options: Unpack[BudgetOptions],
) -> ParetoResult:
    """Compute a Pareto front: the smallest summed sensitivity of a network at each of a range of memory budgets.

    The budgets start at the smallest that the network fits, and end at what it needs with 8 bits for every tensor.

    Args:
        network: The network, from `read` or `read_module`.
        axis: The budget that is varied.
        points: Number of budgets along the axis, evenly spaced, 2 to 1,000; for "both", along each axis, 2 to 31.
        flash: Flash that the network may take, if it is not varied, in bytes or as a text such as "60kB".
        ram: RAM that the network may take, if it is not varied, in the same form.
        device: The device, which gives the budget that is not varied.
        data: Samples on whose training set sensitivities are measured. None estimates them from the weights.
        progress: Callback that receives the progress of the measurement.
        options: Further options, as for `fit`; `time_limit_seconds` is that of the whole call.

    Raises:
        RequestError: If the budget that is not varied is missing, or an option is invalid or contradicts another one.
        InvalidNetwork: If the network has no layer with weights, or no weights where samples are given.
        DatasetError: If the samples cannot be read or do not match the network.
    """
    name = name_of(network)
    fields = {"axis": axis, "points": points, "flash": flash, "ram": ram, "device": device, **options}
    request = request_of(ParetoRequest, fields)
    terms_of(request)  # contradicting options are rejected before anything is measured
    return ParetoResult(answer_pareto(network, name, request, table_for(request, network, data, progress)))
