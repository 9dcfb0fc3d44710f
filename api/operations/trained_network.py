"""Retraining of a network with chosen bits, up to the files and the report of the integer-only network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from api.schemas.fit import FitAnswer
from api.schemas.reports import (
    AccuracyAnswer,
    Artifact,
    ChoiceAnswer,
    ConversionAnswer,
    EpochAnswer,
    QualityAnswer,
    TrainingReport,
)
from api.storage.result_files import artifacts_in
from deploy.result_folder import REPORT_FILE, publish, staging
from network.allocation import Allocation
from network.network import Network
from qat.data.dataset import Dataset
from qat.data.images import fitted
from qat.data.unseen import MadeDataset
from qat.options.task import TERMS, TaskKind
from qat.options.training import TrainingOptions
from qat.progress import Report
from qat.tasks.quality import Quality
from qat.training.accuracy import Accuracy
from qat.training.epoch_result import EpochResult
from qat.training.process_rank import is_first_process
from solver.question import Question
from solver.solution import Solution

BeforeTraining = Callable[[Network, Allocation], None]
"""Callback that receives a network, with its layers in the order in which they run, and the bits of its tensors."""


def nothing_before(network: Network, allocation: Allocation) -> None:
    """Do nothing before a training; this is the default callback."""


def train_solution(
    dataset: Dataset,
    options: TrainingOptions,
    solution: Solution,
    answer: FitAnswer,
    directory: Path,
    *,
    question: Question,
    report: Report,
    checkpoint_directory: Path | None,
    before_training: BeforeTraining = nothing_before,
) -> tuple[TrainingReport, list[Artifact]]:
    """Retrain a network with the bits of a solution, convert it to integers, and write the files to a directory.

    Args:
        dataset: The samples to train and test on.
        options: How the network is trained.
        solution: The bits, with the network in the order in which its layers run.
        answer: Description of the solution, for the report.
        directory: Directory for the files, as for `run_main_job`.
        question: The question that the solution answers: its budget and ceiling of latency hold after the training, and
            its alternative rules count the bytes if the integer-only network does not fit by those of the solution.
        report: Callback that receives the progress.
        checkpoint_directory: Directory for the checkpoints; None writes none.
        before_training: Callback that receives what is trained, just before the training.

    Raises:
        ConversionError: If the retrained network cannot be converted to integers. If it only exceeds the budget after
            the conversion, the files are written, and the report says that it does not fit.
    """
    assert solution.allocation is not None  # noqa: S101  # it fits
    from api.operations.chip_files import ChipFiles
    from api.operations.deployed_memory import deployed_solution, overflow_of, with_memory
    from deploy.files import save
    from deploy.host_program import host_files
    from deploy.qdq import ONNX_FILE, onnx_bytes
    from deploy.qdq_ranks import output_extents
    from qat.train import train

    before_training(solution.network, solution.allocation)
    result = train(
        solution.network,
        solution.allocation,
        dataset,
        options,
        report=report,
        checkpoint_directory=checkpoint_directory,
    )
    solution = deployed_solution(result.integer_network, solution, question)
    answer = with_memory(answer, solution, question)
    conversion = ConversionAnswer.model_validate(result.conversion)
    wide_because = {each.layer: each.wide_because for each in conversion.layers if each.wide_because is not None}
    overflow = overflow_of(solution, question.budget, wide_because)
    training_report = TrainingReport(
        **answer.model_dump(),
        task=result.task.kind,
        quality=quality_answer(result.qualities[0]) if result.qualities else None,
        other_qualities=[quality_answer(each) for each in result.qualities[1:]],
        accuracy=None if result.accuracy is None else _accuracy_answer(result.accuracy),
        conversion=conversion,
        epochs=[_epoch_answer(epoch, result.task.kind) for epoch in result.epochs],
        best_epoch=result.best_epoch,
        learned_from=result.task.learned_from,
        measured_against=result.qualities[0].against if result.qualities else None,
        without_samples=isinstance(dataset, MadeDataset),
        went_back=result.went_back,
        frozen_weights_percent=result.frozen_weights_percent,
        compile_seconds=result.compile_seconds,
        warnings=(*result.warnings, *(() if overflow is None else (overflow,))),
        overflow=overflow,
        recipe=[ChoiceAnswer(**asdict(each)) for each in result.recipe],
    )
    if not is_first_process():
        return training_report, []
    with staging(directory) as staged:
        save(result.integer_network, staged, memory=answer.memory.model_dump(mode="json"))
        network = solution.network
        extents = output_extents(network.host_graph, network.shapes)
        (staged / ONNX_FILE).write_bytes(onnx_bytes(result.integer_network, output_extents=extents))
        for name, content in host_files(result.integer_network, network.host_graph, network.host_steps).items():
            (staged / name).write_bytes(content)
        chip = ChipFiles(
            host_graph=network.host_graph, dataset=fitted(dataset, network),
            accounting=solution.accounting, device=question.device,
            budget=question.budget,
        )  # fmt: skip
        if reasons := chip.write(result.integer_network, staged):
            training_report = training_report.model_copy(update={"warnings": (*training_report.warnings, *reasons)})
        (staged / REPORT_FILE).write_text(training_report.model_dump_json(indent=2) + "\n", encoding="utf-8")
        artifacts = artifacts_in(staged)
        publish(staged, directory)
    return training_report, artifacts


def quality_answer(quality: Quality) -> QualityAnswer:
    """Describe one metric of the three forms of a network."""
    terms = TERMS[quality.metric]
    return QualityAnswer.model_validate(
        {
            "metric": quality.metric,
            "unit": terms.unit,
            "direction": terms.direction,
            "output": quality.output,
            "against": quality.against,
            "float": quality.float_network,
            "fake_quantized": quality.fake_quantized,
            "integer_only": quality.integer_only,
        }
    )


def _epoch_answer(epoch: EpochResult, kind: TaskKind) -> EpochAnswer:
    with_accuracy = kind in {TaskKind.CLASSES, TaskKind.TWO_CLASSES}
    return EpochAnswer(**asdict(epoch), validation_percent=epoch.validation_quality if with_accuracy else None)


def _accuracy_answer(accuracy: Accuracy) -> AccuracyAnswer:
    return AccuracyAnswer.model_validate(
        {
            "float": accuracy.float_percent,
            "fake_quantized": accuracy.fake_quantized_percent,
            "integer_only": accuracy.integer_only_percent,
            "top1_agreement": accuracy.top1_agreement_percent,
        }
    )
