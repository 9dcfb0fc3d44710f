"""JSON schemas of the request for the least bytes that keep a limit of quality, and of the report.

`bitbudget shrink` and `POST /v1/jobs` with `kind: shrink` give the same report.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, StrictFloat, StrictInt, model_validator

from api.schemas.answer import Amount, Answer, Bytes, Count, NetworkName
from api.schemas.fit import FitRequest
from api.schemas.memory import BudgetAnswer
from api.schemas.reports import Artifact, MetricUnit, QualityAnswer, TrainingReport
from deploy.requantization_form import RequantizationForm
from network.allocation import Bits
from network.memory.books import BookName
from qat.options.post_training import PostTrainingOptions
from qat.options.task import Metric, TaskKind
from qat.options.training import TrainingOptions
from qat.training.label_source import LabelSource
from solver.options import Method
from solver.pareto import MAX_POINTS, Axis

MAX_LOSS: Final = 1000.0
MAX_QUALITY: Final = 200.0


class Minimized(StrEnum):
    """The memory of which the least bytes are searched."""

    FLASH = "flash"
    RAM = "ram"

    @property
    def axis(self) -> Axis:
        """Axis of the Pareto front that is walked."""
        return Axis(self.value)

    @property
    def words(self) -> str:
        """Name of the memory in sentences."""
        return "RAM" if self is Minimized.RAM else "flash"


class ShrinkRequest(FitRequest):
    """Request for the least bytes of flash, or of RAM, at which a network keeps a limit of quality.

    The other memory is limited by its budget, or by the device; without either, it is not limited.
    """

    max_loss: StrictFloat | None = Field(
        default=None,
        ge=0.0,
        le=MAX_LOSS,
        description="largest allowed loss of quality: that of the float network minus that of the integer-only network "
        "on the same held-out samples, in the unit of the task's metric: points for a metric in percent, dB for a "
        "signal-to-noise ratio, 1 for R2",
    )
    min_quality: StrictFloat | None = Field(
        default=None,
        ge=-MAX_QUALITY,
        le=MAX_QUALITY,
        description="smallest allowed quality of the integer-only network on the held-out samples, such as 30 dB; "
        "instead of max_loss if the float network's own outputs are the targets",
    )
    minimize: Minimized = Field(
        default=Minimized.FLASH, description="memory of which the least bytes are searched; the other one is a ceiling"
    )
    points: StrictInt = Field(
        default=64,
        ge=2,
        le=MAX_POINTS,
        description="number of budgets of the Pareto front that is searched, evenly spaced; about log2(points) + 2 of "
        "them are judged",
    )

    @property
    def optional_budgets(self) -> tuple[str, ...]:
        """Both budgets: the minimized memory is varied, and the other one need not be limited."""
        return ("flash", "ram")

    @model_validator(mode="after")
    def _check_limit(self) -> Self:
        if (self.max_loss is None) is (self.min_quality is None):
            given = "neither is given" if self.max_loss is None else "both are given"
            raise ValueError(
                f"max_loss or min_quality limits the quality, and {given}; expected max_loss, or min_quality if the "
                "float network's own outputs are the targets"
            )
        if self.method is not Method.EXACT:
            raise ValueError(
                f"method is {self.method}; expected exact, because the bits of each point must be optimal for its "
                "budget"
            )
        return self


class ShrinkTrainingOptions(TrainingOptions):
    """Training options of each judged point; by default, the network is quantized without training."""

    epochs: StrictInt | None = Field(
        default=0,
        ge=0,
        le=10_000,
        description="number of passes over the training set for each judged point; 0: the point is quantized without "
        "training and without labels; none: chosen by the recipe from the number of samples",
    )
    post_training: PostTrainingOptions | None = Field(
        default=PostTrainingOptions(),
        description="how the network is improved without labels between calibration and the first epoch; false: it is "
        "not improved; none: with 0 epochs it is not improved, with others the recipe chooses from the number of "
        "samples. If epochs is given and not 0, this option is none by default",
    )

    @model_validator(mode="before")
    @classmethod
    def _round_or_train(cls, given: Any) -> Any:  # Any: whatever a caller's JSON has here
        """Leave out post-training quantization if the network is trained and the caller does not choose it."""
        if isinstance(given, dict) and given.get("epochs", 0) != 0 and "post_training" not in given:
            return {**given, "post_training": None}
        return given

    @model_validator(mode="after")
    def _check_bytes(self) -> Self:
        if self.overrides or self.requantization is RequantizationForm.THRESHOLDS:
            what = "overrides" if self.overrides else "requantization by thresholds"
            raise ValueError(
                f"{what} would change the bytes for which the bits of each point are optimal; leave the option out of "
                "a shrink, or train with a budget"
            )
        return self

    @property
    def plain(self) -> TrainingOptions:
        """The same options as those of a training."""
        return TrainingOptions(**{name: getattr(self, name) for name in TrainingOptions.model_fields})


class Outcome(StrEnum):
    """How the search for the least bytes ended."""

    FOUND = "found"
    SMALLEST_FITS = "smallest_fits"
    NONE_FITS = "none_fits"


class ShrinkPointAnswer(Answer):
    """One judged point of the Pareto front: the optimal bits for its budget, and the quality that they reach."""

    flash_bytes: Bytes = Field(description="flash that the network requires with these bits, in bytes")
    ram_bytes: Bytes = Field(description="RAM that the network requires with these bits, in bytes")
    budget: BudgetAnswer = Field(description="budget for which the bits are optimal")
    objective: Amount = Field(description="summed sensitivity of the bits")
    gap: Amount | None = Field(
        description="largest possible excess over the optimum, as a share of the objective; 0: optimal; null if "
        "nothing is proven"
    )
    quality: float = Field(description="quality of the integer-only network on the held-out samples")
    loss: float | None = Field(
        description="quality of the float network minus quality of the integer-only network, on the held-out samples; "
        "null if the float network has no quality of its own"
    )
    keeps_limit: bool = Field(description="whether the point keeps max_loss or min_quality")
    test: QualityAnswer | None = Field(
        description="quality on the test set, which decides nothing; null without a test set"
    )
    best_epoch: Count = Field(description="epoch whose network is the result of the point")
    seconds: Amount = Field(description="elapsed time of the point's training and validation, in seconds")
    weight_bits: dict[str, Bits] = Field(description="name of each layer -> bits of its weights, in layer order")
    activation_bits: dict[str, Bits] = Field(
        description="name of each tensor -> its bits, in the order in which the tensors are written"
    )
    folder: str = Field(description="folder with the files of the point, relative to the results of the command")


class ShrinkReport(Answer):
    """Least bytes at which a network keeps a limit of quality, with all points that were judged."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    kind: Literal["shrink"] = Field(default="shrink", description="purpose of the job")
    network: NetworkName = Field(description="network of the request")
    device: str | None = Field(description="name of the device; null if the request has none")
    accounting: BookName = Field(description="accounting: rule set that counted the bytes")
    sensitivity: str = Field(description="name of the sensitivity measure whose sum is minimal at each point")
    minimize: Minimized = Field(description="memory of which the least bytes were searched")
    max_loss: Amount | None = Field(description="largest allowed loss; null if min_quality was given")
    min_quality: float | None = Field(description="smallest allowed quality; null if max_loss was given")
    task: TaskKind = Field(description="what the network was judged for (docs/training.md)")
    metric: Metric = Field(description="metric of the quality and of the loss; a larger quality is better")
    unit: MetricUnit = Field(description="unit of the figures: percent, dB, 1 for a ratio, or target")
    learned_from: LabelSource = Field(description="source of the targets of the held-out samples")
    held_out_samples: Count = Field(
        description="number of samples of the training set on which the points were compared; they were not trained on"
    )
    float_quality: float | None = Field(
        description="quality of the float network on the held-out samples; null if its own outputs are the targets"
    )
    outcome: Outcome = Field(
        description="found: the next smaller points were judged and fail; smallest_fits: even the smallest point of "
        "the front keeps the limit; none_fits: even the largest point does not"
    )
    chosen: Count | None = Field(description="index of the chosen point in points; null if none keeps the limit")
    points: list[ShrinkPointAnswer] = Field(description="judged points, from the fewest bytes to the most")
    front_points: Count = Field(description="number of points of the Pareto front that was searched")
    budget_step_bytes: Count = Field(
        description="distance between two budgets of the front, in bytes; bits between two budgets were not searched"
    )
    front_is_complete: bool = Field(
        description="whether the front was solved for all its budgets within the time limit"
    )
    not_monotonic: list[Count] = Field(
        description="indices in points of those that do not keep the limit although a smaller point does"
    )
    sentences: list[str] = Field(description="result in words")
    seconds: Amount = Field(
        description="elapsed time of all judged points and of the search, in seconds; of an interrupted search, "
        "without unfinished points"
    )
    result: TrainingReport | None = Field(
        description="bits, memory report and quality of the chosen point; null if none keeps the limit"
    )

    @property
    def best(self) -> ShrinkPointAnswer | None:
        """The chosen point; None if no point keeps the limit."""
        return None if self.chosen is None else self.points[self.chosen]


class ShrinkAnswer(ShrinkReport):
    """Answer of `bitbudget shrink --json`: the report and the written files."""

    artifacts: list[Artifact] = Field(description="files in the output directory, without those of its folders")
