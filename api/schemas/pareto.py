"""The request for a Pareto front of sensitivity against bytes, and its answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictInt

from api.schemas.answer import Answer, Bytes, NetworkName
from api.schemas.fit import FitRequest
from api.schemas.memory import BudgetAnswer
from network.allocation import Bits
from solver.pareto import MAX_POINTS, Axis


class ParetoRequest(FitRequest):
    """The least summed sensitivity against flash, RAM or both. The time limit is that of the whole call."""

    axis: Axis = Field(default=Axis.FLASH, description="The budget that is varied; both: a grid of points x points.")
    points: StrictInt = Field(
        default=20, ge=2, le=MAX_POINTS, description="Number of budgets along the axis, evenly spaced."
    )


class ParetoPointAnswer(Answer):
    """One end of a trade: no bits within this budget have a smaller sum than `bound`."""

    budget: BudgetAnswer
    flash_bytes: Bytes = Field(description="what the bits take of flash, in bytes")
    ram_bytes: Bytes = Field(description="what they take of RAM, in bytes")
    objective: float = Field(description="their summed sensitivity")
    bound: float = Field(description="no bits within the budget have a smaller sum")
    gap: float = Field(
        description="how far the objective may be above the least there is, as a share; 0 is proven best"
    )
    weight_bits: dict[str, Bits] = Field(description="layer name -> bits of its weights, in layer order")
    activation_bits: dict[str, Bits] = Field(description="tensor name -> bits, the network's input first")


class ParetoAnswer(Answer):
    """The Pareto front: no point is worse than another in flash, RAM and objective alike."""

    network: NetworkName
    accounting: str = Field(description="the rule book that counted the bytes")
    sensitivity: str = Field(description="the measure of the objective")
    axis: Literal["flash", "ram", "both"] = Field(description="the budget that was varied")
    is_complete: bool = Field(description="false: the time ended before all budgets were solved")
    points: list[ParetoPointAnswer] = Field(description="from little memory to much; empty when nothing fits")
