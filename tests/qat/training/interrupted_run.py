"""A training run in a separate process that a test can kill, and the files that it writes at its end."""

from __future__ import annotations

from pathlib import Path

import torch

from deploy.files import save
from qat.options.augmentation import PRESETS
from qat.options.training import Compile, OptimizerKind, TrainingOptions
from tests.qat.small_problem import PACT_FOLDED, trained

OPTIONS = TrainingOptions(
    epochs=8,
    batch_size=32,
    optimizer=OptimizerKind.ADAMW,
    weight_decay=1e-3,
    learning_rate=0.01,
    batch_fold_delay=3,
    freeze_batch_norm_at=0.7,
    gradual_bits=0.25,
    freeze_oscillating_at=0.5,
    oscillation_momentum=0.2,
    calibration_samples=64,
    augmentation=PRESETS["flip_shift_mixup"],
    label_smoothing=0.05,
    compile=Compile.OFF,
    seed=3,
    checkpoint_minutes=0.0,
)


def run(checkpoints: Path, out: Path) -> None:
    """Train, from the checkpoint if there is one, and write the files of the integer-only network to `out`."""
    torch.set_num_threads(1)
    result = trained(OPTIONS, PACT_FOLDED, checkpoint_directory=checkpoints)
    save(result.integer_network, out)
    epochs = "\n".join(f"{each.training_loss!r} {each.validation_loss!r}" for each in result.epochs)
    (out / "epochs.txt").write_text(f"{epochs}\n{result.best_epoch} {result.frozen_weights_percent!r}\n")
