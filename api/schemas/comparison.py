"""JSON schemas of a comparison of two results of a network: `bitbudget compare`, for build pipelines."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from api.schemas.answer import Amount, Answer, Bytes, Count
from network.allocation import Bits
from network.kernel_sizes.tables import Optimization
from qat.options.task import Direction, Metric


class Failure(StrEnum):
    """Reasons why a comparison fails."""

    DOES_NOT_FIT = "does_not_fit"
    """The network does not fit its budget."""

    BUILD_IS_NOT_GOOD = "build_is_not_good"
    """The linked program is not as predicted, or fails the audit or the self-test."""

    QUALITY_DROPS = "quality_drops"
    """The quality is worse than that of the base by more than the limit."""

    QUALITY_IS_NOT_COMPARABLE = "quality_is_not_comparable"
    """The qualities of base and head have different metrics, so that the limit cannot be checked."""


class ComparedQuality(Answer):
    """Quality of the integer-only network on the test set."""

    metric: Metric = Field(description="the metric")
    direction: Direction = Field(description="whether a larger or a smaller figure is better")
    against: str = Field(description="source of the targets: labels of the dataset, or the float network")
    figure: float = Field(description="figure of the integer-only network, in the unit of the metric")


class ComparedResult(Answer):
    """Figures of one of the two results that are compared."""

    kind: Literal["fit", "training", "build"] = Field(
        description="origin of the figures: predicted before a training, predicted after it, or placed by the linker"
    )
    network: str = Field(description="name of the network")
    device: str | None = Field(description="name of the device; null without one")
    optimization: Optimization | None = Field(
        description="optimization flag of the code whose bytes are counted; null if no code is counted"
    )
    fits: bool = Field(description="whether the network fits the budget")
    problem: str | None = Field(description="why it does not fit, or what is wrong with the build; null if all is well")
    flash_bytes: Bytes = Field(description="required flash, in bytes; of the fewest bits if no bits fit")
    ram_bytes: Bytes = Field(description="required RAM, in bytes; of the fewest bits if no bits fit")
    flash_budget_bytes: Count | None = Field(description="flash that the network may use, in bytes; null without limit")
    ram_budget_bytes: Count | None = Field(description="RAM that the network may use, in bytes; null without limit")
    peak_layer: str | None = Field(description="layer whose step requires the most RAM; null for a build")
    weight_tensors: dict[str, Count] = Field(
        description="bits (8, 4, 2) -> number of layers whose weights have these bits"
    )
    activation_tensors: dict[str, Count] = Field(
        description="bits (8, 4, 2) -> number of activation tensors with these bits"
    )
    quality: ComparedQuality | None = Field(description="quality on the test set; null if it was not measured")
    sensitivity: str | None = Field(description="name of the sensitivity measure; null without one")
    objective: Amount | None = Field(description="summed sensitivity of the bits; null without a measure")
    cycles: Count | None = Field(description="estimated number of cycles of one inference; null if it is not known")


class LayerFigures(Answer):
    """Bytes and bits of one layer in one of the two results."""

    flash_bytes: Bytes | None = Field(description="flash of weights and other constants, in bytes; null if not counted")
    ram_bytes: Bytes | None = Field(description="RAM during the step of the layer, in bytes; null if not counted")
    weight_bits: Bits | None = Field(description="bits of each weight; null for a layer without weights, or a build")
    output_bits: Bits | None = Field(description="bits of each element of the output; null if they are not known")


class LayerChange(Answer):
    """A layer with different bytes or bits in the two results; layers are matched by their names."""

    layer: str = Field(description="name of the layer")
    base: LayerFigures | None = Field(description="figures of the base; null if the layer is new")
    head: LayerFigures | None = Field(description="figures of the head; null if the layer was removed")
    flash_difference_bytes: float = Field(description="flash of the head minus flash of the base, in bytes")
    ram_difference_bytes: float = Field(description="RAM of the head's step minus RAM of the base's step, in bytes")


class SharedChange(Answer):
    """A part of the memory that all layers share, such as code or the stack, with a different size."""

    region: Literal["flash", "ram"] = Field(description="kind of memory that the part occupies")
    part: str = Field(description="name of the part")
    base_bytes: Count | None = Field(description="size in the base, in bytes; null if the part is new")
    head_bytes: Count | None = Field(description="size in the head, in bytes; null if the part was removed")
    difference_bytes: int = Field(description="size in the head minus size in the base, in bytes")


class ComparisonAnswer(Answer):
    """What a change of a network (the head) does to bytes, bits and quality of an earlier result (the base)."""

    passes: bool = Field(description="whether nothing failed")
    failures: list[Failure] = Field(description="reasons why the comparison fails; empty if it passes")
    base: ComparedResult | None = Field(description="result before the change; null without one")
    head: ComparedResult = Field(description="result after the change")
    flash_difference_bytes: float | None = Field(description="change of the flash, in bytes; null without a base")
    ram_difference_bytes: float | None = Field(description="change of the RAM, in bytes; null without a base")
    quality_drop: float | None = Field(
        description="by how much the quality of the head is worse than that of the base, in the unit of the metric; "
        "negative if it is better; null if the two cannot be compared"
    )
    max_quality_drop: Amount | None = Field(description="largest allowed drop of the quality; null without a limit")
    layers: list[LayerChange] = Field(description="layers that differ, those with the largest change of flash first")
    shared: list[SharedChange] = Field(description="shared parts that differ, the largest change first")
    notes: list[str] = Field(description="what a reader of the figures should know, such as different budgets")
