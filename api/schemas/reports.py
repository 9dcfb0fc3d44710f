"""JSON schemas of the progress and the results of jobs, which the command line prints, too."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from api.schemas.answer import Amount, Answer, Count, NetworkName, Percent, Sha256, Share
from api.schemas.fit import FitAnswer
from api.schemas.pareto import ParetoAnswer
from deploy.narrow_constants import ConstantsForm
from deploy.requantization_form import RequantizationForm
from network.allocation import WeightScheme
from qat.options.task import Direction, Metric, TaskKind
from qat.training.label_source import LabelSource

MetricUnit = Literal["percent", "dB", "1", "target"]


class ProgressAnswer(Answer):
    """Progress of a job; fields that do not apply to its phase are null."""

    phase: str = Field(
        description="current phase, such as measuring sensitivity, calibrating, training, validating, converting or "
        "testing"
    )
    epoch: Count | None = Field(description="current epoch, counted from 1; 0 during calibration")
    epochs: Count | None = Field(description="number of epochs of the run")
    step: Count | None = Field(description="number of finished batches of this phase")
    steps: Count | None = Field(description="number of batches of this phase")
    images_per_second: Amount | None = Field(description="samples per second in this phase")
    seconds_left: Amount | None = Field(description="estimated time to the end of the run, in seconds")
    loss: float | None = Field(description="mean training loss of the last batches")
    validation_accuracy: Percent | None = Field(
        description="accuracy on the held-out set after the last validated epoch, in percent; null for tasks with "
        "another metric"
    )
    validation_metric: Metric | None = Field(default=None, description="metric of the task on the held-out set")
    validation_quality: float | None = Field(
        default=None, description="figure of that metric after the last validated epoch; larger is better"
    )
    validation_float: float | None = Field(
        default=None,
        description="figure of the float network on the same samples; null where its own outputs are the targets",
    )
    validation_samples: Count | None = Field(default=None, description="number of held-out samples of that figure")
    warnings: tuple[str, ...] = Field(
        default=(), description="warnings about the network, the dataset or the options that were found so far"
    )
    recipe: tuple[str, ...] = Field(
        default=(), description="options of the training that the recipe has chosen, with the reasons, one text each"
    )
    point: Count | None = Field(
        default=None,
        description="number of the judged point, or of the solved budget, counted from 1; null for other jobs",
    )
    points: Count | None = Field(default=None, description="expected number of judged points, or number of budgets")


class AccuracyAnswer(Answer):
    """Accuracy in percent on the test set, which is not used for any choice."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    float_: Percent = Field(alias="float", description="accuracy of the float network, in percent")
    fake_quantized: Percent = Field(description="accuracy of the retrained network with simulated bits, in percent")
    integer_only: Percent = Field(description="accuracy of the integer-only network, which is deployed, in percent")
    top1_agreement: Percent = Field(
        description="test samples for which the integer-only and the fake-quantized network choose the same class, in "
        "percent"
    )


class QualityAnswer(Answer):
    """One metric of the quality of the float, the fake-quantized and the integer-only network on the test set."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    metric: Metric = Field(description="the metric")
    unit: MetricUnit = Field(
        description="unit of the figures: percent, dB, 1 for a ratio, or target for the unit of the targets"
    )
    direction: Direction = Field(description="whether a larger or a smaller figure is better")
    output: str = Field(description="name of the network's output that is judged")
    against: LabelSource = Field(description="source of the targets: labels of the dataset, or the float network")
    float_: float | None = Field(
        alias="float", description="figure of the float network; null if its own outputs are the targets"
    )
    fake_quantized: float = Field(description="figure of the retrained network with simulated bits")
    integer_only: float = Field(description="figure of the integer-only network, which is deployed")


class EpochAnswer(Answer):
    """Result of one epoch of training."""

    epoch: Count = Field(description="number of the epoch, from 1; 0: the calibrated network before any training")
    training_loss: float | None = Field(description="mean training loss of the epoch; null for epoch 0")
    validation_percent: Percent | None = Field(
        default=None,
        description="accuracy of the integer-only network on the held-out set, in percent; null for tasks with another "
        "metric",
    )
    validation_quality: float | None = Field(
        default=None,
        description="figure of the integer-only network on the held-out set by the task's metric, larger is better; "
        "null in reports of earlier versions",
    )
    validation_loss: float = Field(description="mean loss of the task on the held-out set")
    seconds: Amount = Field(description="elapsed time of the epoch with its validation, in seconds")
    at_doubled_bits: bool = Field(
        default=False,
        description="whether the epoch was trained and validated with twice the bits; such an epoch is never the best",
    )
    float_distance: float | None = Field(
        default=None,
        description="mean distance from the float network's outputs on the held-out set, in the unit of the loss; null "
        "if epochs are compared by quality",
    )
    float_quality: float | None = Field(
        default=None,
        description="figure of the float network on the held-out set; null where its own outputs are the targets, and "
        "in reports of earlier versions",
    )


class LayerConversionAnswer(Answer):
    """Effect of the conversion to integers on the outputs of one layer."""

    layer: str = Field(description="name of the layer")
    kind: str = Field(description="kind of the layer in the integer-only network")
    accumulator_bound: Count | None = Field(
        description="upper bound of the magnitude of the int32 accumulator; null for a layer without one"
    )
    int32_share: Amount | None = Field(description="accumulator bound as a share of the int32 range, 0 to 1")
    largest_difference: Count = Field(
        description="largest difference between the fake-quantized and the integer-only output, in codes"
    )
    mean_difference: Amount = Field(description="mean difference of all elements, in codes")
    equal_share: Share = Field(description="share of elements with the same code, 0 to 1")
    constants: ConstantsForm | None = Field(
        default=None, description="form of the constants of a layer with weights and multipliers; null for other layers"
    )
    wide_because: str | None = Field(
        default=None, description="reason why the constants are wide; null if they are not"
    )


class ConversionAnswer(Answer):
    """Effect of the conversion of a fake-quantized network to integers, measured layer by layer."""

    requantization: RequantizationForm = Field(description="how accumulators are converted to codes")
    samples: Count = Field(description="number of held-out samples on which the differences were measured")
    layers: list[LayerConversionAnswer] = Field(description="layers, in the order of the schedule")


class ChoiceAnswer(Answer):
    """Option of a training that was not given, so that the recipe chose its value (docs/training.md)."""

    option: str = Field(description="name of the option")
    value: str = Field(description="chosen value")
    reason: str = Field(description="reason for the value: the rule and the figures that it depends on")


class TrainingReport(FitAnswer):
    """Bits, memory report and quality of a retrained network."""

    kind: Literal["training"] = Field(default="training", description="purpose of the job")
    task: TaskKind = Field(
        default=TaskKind.CLASSES, description="what the network was trained and judged for (docs/training.md)"
    )
    quality: QualityAnswer | None = Field(
        default=None,
        description="quality on the test set by the task's metric; null if the dataset has no test set, so that "
        "nothing was measured, and in reports of earlier versions",
    )
    other_qualities: list[QualityAnswer] = Field(
        default=[], description="further metrics, and other outputs, which follow the float network"
    )
    accuracy: AccuracyAnswer | None = Field(
        description="accuracy on the test set; null if the dataset has no test set, so that nothing was measured, and "
        "for tasks without classes of samples"
    )
    conversion: ConversionAnswer | None = Field(
        default=None, description="effect of the conversion to integers; null in reports of earlier versions"
    )
    epochs: list[EpochAnswer] = Field(description="result of each epoch, in order")
    best_epoch: Count = Field(description="epoch whose network is the result: the best one on the held-out set")
    learned_from: LabelSource = Field(
        default=LabelSource.LABELS,
        description="targets of the training set; float_network: the outputs of the float network, or the classes that "
        "it predicts, so that the figures of the epochs are agreement with it",
    )
    measured_against: LabelSource | None = Field(
        default=LabelSource.LABELS,
        description="targets of the test set; float_network: the outputs of the float network, or the classes that it "
        "predicts, so that the figures are agreement with it; null without a test set",
    )
    without_samples: bool = Field(
        default=False,
        description="whether there were no samples (dataset none), so that inputs were made from the network: nothing "
        "was measured on real data, and the figures of the epochs are of made inputs",
    )
    went_back: bool = Field(
        default=False,
        description="whether a loss or gradient was not finite, so that training was repeated from an earlier state "
        "with half the learning rate",
    )
    frozen_weights_percent: Percent = Field(
        default=0.0, description="weights that were frozen because they oscillated, in percent of all weights"
    )
    compile_seconds: Amount = Field(
        default=0.0,
        description="time for compiling the training step since the job was last resumed, in seconds; 0: not compiled",
    )
    warnings: tuple[str, ...] = Field(
        default=(),
        description="warnings about the network, the dataset or the options that were found before the training; then "
        "what of the result exceeds the budget, and which files are missing",
    )
    overflow: str | None = Field(
        default=None,
        description="what of the integer-only network exceeds the budget, why, and what to do; then fits is false. "
        "null if the network fits",
    )
    recipe: list[ChoiceAnswer] = Field(
        default=[], description="options of the training that were not given, as the recipe chose them"
    )


class SensitivityReport(Answer):
    """Measured sensitivities: the estimated increase of the loss if one tensor alone gets fewer bits."""

    kind: Literal["sensitivity"] = Field(default="sensitivity", description="purpose of the job")
    network: NetworkName = Field(description="network whose sensitivities were measured")
    sensitivity: str = Field(description="name of the sensitivity measure")
    scheme: WeightScheme | None = Field(
        description="quantization scheme of the weights during the measurement; null: every scheme"
    )
    samples: Count = Field(description="number of training samples that were used")
    seconds: Amount = Field(description="elapsed time of the measurement, in seconds")
    weights: dict[str, dict[str, Amount]] = Field(
        description="name of each layer -> bits (8, 4, 2) -> sensitivity of its weights, in layer order, by every "
        "scheme that weights_by_scheme does not have"
    )
    weights_by_scheme: dict[WeightScheme, dict[str, dict[str, Amount]]] = Field(
        default={}, description="scheme -> name of each layer -> bits (8, 4, 2) -> sensitivity of its weights"
    )
    activations: dict[str, dict[str, Amount]] = Field(
        description="name of each tensor -> bits (8, 4, 2) -> sensitivity, in the order in which tensors are written"
    )
    warnings: tuple[str, ...] = Field(
        default=(), description="warnings about the dataset that were found before the measurement"
    )


class FitReport(FitAnswer):
    """Answer of a job of kind fit: that of `POST /v1/networks/{id}/fit`, and the kind."""

    kind: Literal["fit"] = Field(default="fit", description="purpose of the job")


class ParetoReport(ParetoAnswer):
    """Answer of a job of kind pareto: that of `POST /v1/networks/{id}/pareto`, and the kind."""

    kind: Literal["pareto"] = Field(default="pareto", description="purpose of the job")


class Artifact(Answer):
    """File that a job produced, with its size and SHA-256."""

    name: str = Field(description="name of the file")
    size_bytes: Count = Field(description="size of the file, in bytes")
    sha256: Sha256 = Field(description="SHA-256 of the content, in hexadecimal; also the ETag")


class TrainAnswer(TrainingReport):
    """Answer of `bitbudget train --json`: the training report and the written files."""

    artifacts: list[Artifact] = Field(description="files in the output directory")
