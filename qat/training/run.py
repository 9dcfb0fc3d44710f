"""A training run, from its start or a checkpoint to the integer-only network."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import torch

from deploy.integer_network import IntegerNetwork
from network.allocation import Allocation
from network.errors import TrainingError
from network.network import Network
from qat.conversion import convert
from qat.conversion_report import ConversionReport, conversion_report
from qat.data.batches import batches_of, group_starts_of, split_of
from qat.data.dataset import Dataset, to_input_tensor
from qat.data.loader import training_batches
from qat.prepare import float_module, prepare
from qat.progress import Report, silent
from qat.tasks.choice import Task
from qat.training.calibrating import calibrate_before
from qat.training.checkpoint import FILE_NAME, STEP_FILE_NAME, Checkpoint, CheckpointDirectory, after_epoch
from qat.training.epoch_result import EpochResult
from qat.training.fingerprint import fingerprint_of
from qat.training.judging import Judge, Judgement, judgement_from_json, judgement_to_json
from qat.training.milestones import Milestones
from qat.training.not_finite import NotFinite
from qat.training.optimizer import new_optimizer
from qat.training.oscillation import Oscillations
from qat.training.parallel import Processes
from qat.training.recipe.recipe import Recipe
from qat.training.reporting import Reporter
from qat.training.run_cost import TRAINING_COST, RunCost
from qat.training.run_targets import RunTargets
from qat.training.run_warnings import warnings_before
from qat.training.state import TrainingState
from qat.training.step import TrainingStep
from qat.training.teacher import Teacher
from qat.training.validating import Validator, validated_from_json

COMPARED_SAMPLES: Final = 64
"""Number of held-out samples on which the integer-only network is compared with training, layer by layer."""


class TrainingRun:
    """State and procedure of one training run (one call of `qat.train.train`).

    Args:
        network: The network, with weights.
        allocation: Bits of each tensor and scheme of each weight tensor, after the overrides of the options.
        dataset: The dataset, in shapes that fit the network.
        recipe: Training options, and which of them the recipe chose.
        processor: The torch device that trains.
        processes: The group of processes that train together.
        report: Callback that receives the progress.

    Attributes:
        warnings: Warnings that were found before the training, one text each.
    """

    def __init__(
        self,
        network: Network,
        allocation: Allocation,
        dataset: Dataset,
        recipe: Recipe,
        processor: torch.device,
        processes: Processes,
        report: Report,
    ) -> None:
        options = recipe.options
        self._network, self._dataset, self._options = network, dataset, options
        self._processor, self._processes = processor, processes
        self._targets = RunTargets(network, dataset, options)
        self._split = split_of(dataset, options.validation_fraction, options.seed)
        self._float_network = float_module(network)
        self._module = prepare(network, allocation, options=options)
        self._milestones = Milestones(allocation, options)
        self._teacher = Teacher(
            self._float_network, dataset.train_x, processor, samples_change=options.augmentation.changes_samples
        )
        self._reporter = Reporter(report if processes.is_first else silent, options.epochs, recipe=recipe.choices)
        self._fingerprint = fingerprint_of(network, allocation, dataset, options.what_counts(), processes.count)
        self._saved = time.monotonic()
        self.warnings: tuple[str, ...] = ()

    def train(self, path: Path | None) -> Checkpoint:
        """Train all epochs, starting from the last checkpoint in a directory if there is one.

        Args:
            path: Directory of the checkpoints; None writes none.

        Returns:
            The checkpoint after the last epoch, which contains the network of the best epoch.
        """
        self._processes.check_equal("network, allocation, dataset or options", self._fingerprint)
        self._directory = None if path is None else CheckpointDirectory(path, self._fingerprint)
        loaded = None if self._directory is None else self._directory.load()
        done = 0 if loaded is None else loaded.epochs[-1].epoch
        cost = RunCost(self._module, self._dataset, self._split, self._options)
        predicts = self._targets.are_predicted_classes
        runs_once = predicts or self._teacher.remembers
        self._reporter.expect(
            cost.left(done, resumed=loaded is not None, teacher_runs_once=runs_once, predicts_classes=predicts)
        )
        started = time.monotonic()
        if loaded is None:
            calibrate_before(
                self._module, self._float_network, self._dataset.train_x, self._split, self._options, self._reporter
            )
        self._float_network.to(self._processor)
        self._module.to(self._processor)
        self.warnings = warnings_before(
            self._float_network, self._module, self.task, self._dataset, self._split, self._options, self._processes,
            self._processor, self._reporter,
        )  # fmt: skip
        objectives = self._targets.objectives(self._float_network, self._split, self._processor, self._reporter)
        self.judge = Judge(self._network, self._float_network, objectives, self._processor)
        self._validator = Validator(
            self.judge, self._dataset.train_x, self._targets, self._split.validation, self._options, self._reporter
        )
        self.state = TrainingState(
            self._module, new_optimizer(self._module, self._options), Oscillations(self._module, self._options)
        )
        if loaded is not None:
            self._resume_from(loaded)
        self._processes.check_equal("checkpoint", f"{done} {self.state.position}")
        if predicts and (loaded is None or done < self._options.epochs):
            self._targets.predict_classes(self._teacher, self.judge.objectives, self._reporter)
        if loaded is None:
            loaded = self._finish_epoch(None, 0, None, started)
        self._checkpoint = loaded
        if done < self._options.epochs:
            if self._needs_teacher:
                self._teacher.remember(self._reporter)
            images = self._options.epochs * len(self._split.training)
            self._step = TrainingStep(
                self.state, objectives, self._options, self._milestones, self._processor, self._processes, images,
                partial(self._reporter.one_time, "compiling the training step"),
            )  # fmt: skip
        for epoch in range(done + 1, self._options.epochs + 1):
            started = time.monotonic()
            self._checkpoint = self._finish_epoch(self._checkpoint, epoch, self._train_epoch(epoch), started)
        return self._checkpoint

    @property
    def compile_seconds(self) -> float:
        """Seconds that compiling the training step took in this process; 0 if it is not compiled."""
        return self._reporter.one_time_seconds

    @property
    def task(self) -> Task:
        """The task that the network is trained and judged for."""
        return self._targets.task

    @property
    def _needs_teacher(self) -> bool:
        return bool(self._options.distillation) or self.judge.objectives.needs_teacher

    def convert_best(self, checkpoint: Checkpoint) -> tuple[IntegerNetwork, ConversionReport, Judgement | None]:
        """Convert the network of the best epoch to an integer-only network, and evaluate it on the test set.

        Args:
            checkpoint: The checkpoint after the last epoch.

        Returns:
            The integer-only network, its comparison with training, and its quality on the test set; None for the
            quality if there is no test set.
        """
        best = checkpoint.best_epoch.epoch
        self._module.load_state_dict(checkpoint.best)
        self._reporter.begin("converting", epoch=best, steps=0, cost=0.0)
        integer_network = convert(self._module, self._options.requantization)
        some = self._dataset.train_x[self._split.validation[:COMPARED_SAMPLES]]
        conversion = conversion_report(self._module, integer_network, to_input_tensor(some, self._network))
        if not self._dataset.has_test_set:
            return integer_network, conversion, None

        def judged() -> str:
            targets = self._targets.of_test_set
            return judgement_to_json(
                self.judge.test(self._module, integer_network, self._dataset, targets, self._reporter)
            )

        return integer_network, conversion, judgement_from_json(self._processes.from_first(judged))

    def _resume_from(self, loaded: Checkpoint) -> None:
        assert self._directory is not None  # noqa: S101  # something has been loaded from it
        done = loaded.epochs[-1].epoch
        in_epoch = self._directory.load_step(done)
        found = loaded.now if in_epoch is None else in_epoch
        self._module.use_bits(self._milestones.allocation_of(done if found.position.step == 0 else done + 1))
        name = FILE_NAME if in_epoch is None else STEP_FILE_NAME
        self._directory.or_damaged(name, lambda: self.state.restore(found))

    def _finish_epoch(
        self, before: Checkpoint | None, epoch: int, training_loss: float | None, started: float
    ) -> Checkpoint:
        """Evaluate the network after an epoch on the held-out split, and write the checkpoint of the epoch."""

        def evaluated() -> str:
            found = self._validator(self._module, epoch)
            doubled = self._milestones.is_at_doubled_bits(epoch)
            return found.to_json(EpochResult(epoch, training_loss, *found.figures, time.monotonic() - started, doubled))

        result, losses = validated_from_json(self._processes.from_first(evaluated))
        self._reporter.report_validation(self.judge.metric, result, len(self._split.validation))
        self.state.position = replace(self.state.position, step=0, loss_sum=0.0)
        checkpoint = after_epoch(before, result, self.state.snapshot(), losses)
        if self._directory is not None and self._processes.is_first:
            self._directory.save(checkpoint)
            self._saved = time.monotonic()
        return checkpoint

    def _train_epoch(self, epoch: int) -> float:
        """Train for one epoch, or for the rest of a resumed one, and return the mean training loss."""
        while True:
            try:
                return self._train_rest_of_epoch(epoch)
            except NotFinite as error:
                self._restore_last_epoch(epoch, error)

    def _train_rest_of_epoch(self, epoch: int) -> float:
        options = self._options
        if self.state.position.step == 0:
            self._milestones.begin_epoch(self.state, epoch)
        self._module.train()
        batches = batches_of(
            self._split.training, options.batch_size, options.seed, epoch, group_starts_of(self._dataset.train_x)
        )
        first = self.state.position.step
        self._reporter.begin("training", epoch=epoch, steps=len(batches), cost=TRAINING_COST, done=first)
        loader = training_batches(
            self._dataset.train_x,
            self._targets.of_training_set,
            self._network,
            self._processes.parts_of(batches),
            options.augmentation,
            seed=options.seed + self._processes.rank,
            epoch=epoch,
            first_step=first,
            workers=options.workers,
            classes=self._network.shapes[self.task.output].elements,
        )
        for step, batch in enumerate(loader, start=first):
            images, targets = batch.images.to(self._processor), batch.targets.to(self._processor)
            whole = len(batches[step])
            loss = self._step(
                images,
                targets,
                self._teacher(images, batch.indices) if self._needs_teacher else None,
                epoch=epoch,
                through_epoch=step / len(batches),
                share=len(images) / whole,
            )
            position = self.state.position
            self.state.position = replace(position, step=step + 1, loss_sum=position.loss_sum + loss * whole)
            self._reporter.advance(whole, loss)
            self._save_step_if_due(epoch)
        return self.state.position.loss_sum / len(self._split.training)

    def _save_step_if_due(self, epoch: int) -> None:
        now = time.monotonic()
        if self._directory is None or not self._processes.is_first:
            return
        if now - self._saved >= 60 * self._options.checkpoint_minutes:
            self._directory.save_step(epoch - 1, self.state.snapshot())
            self._saved = time.monotonic()

    def _restore_last_epoch(self, epoch: int, error: NotFinite) -> None:
        """Restore the training state after the last finished epoch, and halve the learning rate.

        Checkpoints in the middle of an epoch are not used, because the time at which they are written varies.

        Raises:
            TrainingError: If this is the second time in the run.
        """
        position = self.state.position
        if position.has_gone_back:
            raise TrainingError(
                f"the {error.what} of training is {error.value} at step {position.step + 1} of epoch {epoch}, "
                f"{error.where}; expected a finite value. The run was already restored once and continued with "
                f"half the learning rate: lower learning_rate, now {self._options.learning_rate}, or choose "
                "another regime"
            ) from None
        self._reporter.begin("restoring the last epoch with half the learning rate", epoch=epoch - 1, steps=0, cost=0.0)
        self._reporter.expect(position.step * self._options.batch_size * TRAINING_COST)
        self._module.use_bits(self._milestones.allocation_of(epoch - 1))
        self.state.restore(self._checkpoint.now)
        scale = self.state.position.learning_rate_scale / 2
        self.state.position = replace(self.state.position, learning_rate_scale=scale, has_gone_back=True)
