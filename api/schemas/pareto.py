"""JSON schemas of the request for a Pareto front of sensitivity against memory, and of its answer."""

from __future__ import annotations

from pydantic import Field, StrictInt

from api.schemas.answer import Amount, Answer, Bytes, NetworkName
from api.schemas.fit import FitRequest
from api.schemas.memory import BudgetAnswer
from network.allocation import Bits
from network.kernel_sizes.tables import Optimization
from network.memory.books import BookName
from solver.pareto import MAX_POINTS, MAX_POINTS_OF_BOTH, Axis


class ParetoRequest(FitRequest):
    """Request for a network's smallest summed sensitivity at each budget of flash, RAM or both, in one time limit."""

    axis: Axis = Field(default=Axis.FLASH, description="budget that is varied; both: a grid of points x points")
    points: StrictInt = Field(
        default=20,
        ge=2,
        le=MAX_POINTS,
        description="number of budgets along the axis, evenly spaced; "
        f"if both are varied, number of each, at most {MAX_POINTS_OF_BOTH}",
    )

    @property
    def optional_budgets(self) -> tuple[str, ...]:
        """Budgets that the front varies."""
        return ("flash", "ram") if self.axis is Axis.BOTH else (self.axis,)


class ParetoPointAnswer(Answer):
    """One point of a Pareto front: the best bits under one memory budget."""

    budget: BudgetAnswer = Field(description="budget of this point")
    flash_bytes: Bytes = Field(description="flash that the network requires with these bits, in bytes")
    ram_bytes: Bytes = Field(description="RAM that the network requires with these bits, in bytes")
    optimization: Optimization | None = Field(
        description="optimization flag of the C code whose bytes were counted; null for the accounting paper"
    )
    objective: Amount = Field(description="summed sensitivity of the bits")
    bound: Amount = Field(description="lower bound of the objective under this budget")
    gap: Amount = Field(description="largest possible excess over the optimum, as a share of the objective; 0: optimal")
    weight_bits: dict[str, Bits] = Field(description="name of each layer -> bits of its weights, in layer order")
    activation_bits: dict[str, Bits] = Field(
        description="name of each tensor -> its bits, in the order in which the tensors are written"
    )


class ParetoAnswer(Answer):
    """Pareto front of a network: no point is dominated by another in flash, RAM and summed sensitivity."""

    network: NetworkName = Field(description="network of the request")
    accounting: BookName = Field(description="accounting: rule set that counted the bytes")
    sensitivity: str = Field(description="name of the sensitivity measure of the objective")
    axis: Axis = Field(description="budget that was varied")
    is_complete: bool = Field(description="whether all budgets were solved within the time limit")
    points: list[ParetoPointAnswer] = Field(
        description="points, from the smallest to the largest memory; empty if nothing fits"
    )
