"""What a job tells while it runs and when it has finished; `bitbudget train --json` prints the same."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from api.schemas.answer import Answer, NetworkName
from api.schemas.fit import FitAnswer
from deploy.requantization_form import RequantizationForm
from qat.training.label_source import LabelSource


class ProgressAnswer(Answer):
    """Where a training run stands; what does not apply to its phase is null."""

    phase: str = Field(description="e.g. measuring sensitivity, calibrating, training, validating, converting, testing")
    epoch: int | None = Field(description="the current epoch, from 1; 0 while only calibrated")
    epochs: int | None = Field(description="how many there will be")
    step: int | None = Field(description="batches done in this phase")
    steps: int | None = Field(description="batches in this phase")
    images_per_second: float | None = Field(description="samples per second in this phase")
    seconds_left: float | None = Field(description="an estimate for the whole run, in seconds")
    loss: float | None = Field(description="training loss, averaged over the last batches")
    validation_accuracy: float | None = Field(description="percent of the held-out split, of the last judged epoch")


class AccuracyAnswer(Answer):
    """Accuracy on the test set, which decided nothing, in percent."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    float_: float = Field(alias="float", description="of the float network, in percent")
    fake_quantized: float = Field(description="of the retrained network with simulated bits, in percent")
    integer_only: float = Field(description="of the integer-only network, the one that is deployed, in percent")
    top1_agreement: float = Field(
        description="test samples on which the integer-only network decides like the fake-quantized one, in percent"
    )


class EpochAnswer(Answer):
    """How one epoch went."""

    epoch: int = Field(description="from 1; 0 is the calibrated network before any training")
    training_loss: float | None = Field(description="averaged over the epoch; null for epoch 0")
    validation_percent: float = Field(
        description="accuracy of the integer-only network on samples held out of training, in percent"
    )
    validation_loss: float = Field(description="cross-entropy there")
    seconds: float = Field(description="by the wall clock, validation included")
    at_doubled_bits: bool = Field(
        default=False, description="trained and judged at twice the allocation's bits, and so never the best"
    )


class LayerConversionAnswer(Answer):
    """What conversion to integers did to one layer."""

    layer: str = Field(description="its name")
    kind: str = Field(description="of layer, as in the integer-only network")
    accumulator_bound: int | None = Field(description="the most that its int32 accumulator can hold; null without one")
    int32_share: float | None = Field(description="of what an int32 holds, 0 to 1")
    largest_difference: int = Field(description="between its codes in training and as integers, in codes")
    mean_difference: float = Field(description="over all elements, in codes")
    equal_share: float = Field(description="of elements with the same code, 0 to 1")


class ConversionAnswer(Answer):
    """What conversion to integers did, each layer on the codes that the integer-only network gives it."""

    requantization: RequantizationForm = Field(description="how accumulators are rounded")
    samples: int = Field(description="held-out samples that differences were measured on")
    layers: list[LayerConversionAnswer] = Field(description="in schedule order")


class TrainingReport(FitAnswer):
    """The bits, the memory report, and how well the network does with them."""

    kind: Literal["training"] = Field(default="training", description="of which job this is the result")
    accuracy: AccuracyAnswer
    conversion: ConversionAnswer | None = Field(default=None, description="null in reports from before there was one")
    epochs: list[EpochAnswer] = Field(description="in order")
    best_epoch: int = Field(description="the one that was kept: the best on the samples held out of training")
    learned_from: LabelSource = Field(
        default=LabelSource.LABELS,
        description="float_network: the training set has no labels, and the epochs tell agreement",
    )
    measured_against: LabelSource = Field(
        default=LabelSource.LABELS, description="float_network: the test set has no labels, and accuracy is agreement"
    )
    went_back: bool = Field(
        default=False, description="a loss or gradient was not finite once; from then on the learning rate was halved"
    )
    frozen_weights_percent: float = Field(
        default=0.0, description="of all weights, those frozen because they oscillated"
    )
    compile_seconds: float = Field(
        default=0.0,
        description="what compiling the training step took, since the job was last resumed; 0: not compiled",
    )


class SensitivityReport(Answer):
    """Measured sensitivities: the estimated rise of the loss when one tensor alone gets fewer bits."""

    kind: Literal["sensitivity"] = Field(default="sensitivity", description="of which job this is the result")
    network: NetworkName
    sensitivity: str = Field(description="the measure")
    scheme: str = Field(description="how weights were quantized")
    samples: int = Field(description="samples of the training set that it was measured on")
    seconds: float = Field(description="by the wall clock")
    weights: dict[str, dict[str, float]] = Field(description="layer name -> 8, 4 and 2 -> figure, in layer order")
    activations: dict[str, dict[str, float]] = Field(
        description="tensor name -> 8, 4 and 2 -> figure, the network's input first"
    )


class Artifact(Answer):
    """A file that a job leaves."""

    name: str = Field(description="the file's name")
    size_bytes: int = Field(description="its size, in bytes")
    sha256: str = Field(description="of its content, in hexadecimal; also its ETag")


class TrainAnswer(TrainingReport):
    """What `bitbudget train --json` prints."""

    artifacts: list[Artifact] = Field(description="the files in the output directory")
