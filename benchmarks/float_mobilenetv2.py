"""Float training of a depthwise network with inverted residuals, in the shape of MobileNetV2, for CIFAR-10.

    python -m benchmarks.float_mobilenetv2 [--epochs N] [--last-epoch N] [--threads N] [--seed N] [--checkpoint FILE]

Trains by stochastic gradient descent with a one-cycle learning rate, on images that are shifted and mirrored. The test
set is used once, after the last epoch; no epoch is chosen by it. The network is written as ONNX with its batch norm as
nodes of their own, so that the benchmarks of accuracy can train with it. Its input is pixels, 0 to 255, as they are.

`benchmarks/trained/mobilenetv2_cifar10.onnx` was made by this script; `benchmarks/trained/README.md` states how. The
data is in `../shared`. After each epoch, the state is written to the checkpoint, so that an interrupted training can be
continued; a training with another number of epochs or another seed needs another file. `--last-epoch` ends a training
early, also one that was interrupted: over the last four epochs up to it, the learning rate falls to zero.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import cifar10
from benchmarks.mobilenetv2_onnx import onnx_of
from benchmarks.mobilenetv2_shape import PIXEL_SCALE, MobileNetV2
from network.network import Network
from network.reading import read_network
from qat.data.augmentation import shift_and_flip
from qat.data.dataset import Dataset, to_input_tensor
from qat.prepare import float_module

ONNX_FILE: Final = Path(__file__).parent / "trained" / "mobilenetv2_cifar10.onnx"

BATCH_SIZE: Final = 128
LEARNING_RATE: Final = 0.2
WARM_UP: Final = 0.25
"""Share of the steps in which the learning rate rises."""
WEIGHT_DECAY: Final = 2e-4
COOLING_EPOCHS: Final = 4
"""Number of epochs over which the learning rate falls to zero, in addition to its cycle, if a training ends early."""
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class FloatRun:
    """Options of a float training.

    Attributes:
        epochs: Number of epochs of the learning rate's cycle.
        last_epoch: The epoch after which training ends, at most `epochs`.
        seed: Seed of the initial weights, of the order of the images and of the augmentation.
        checkpoint: File that keeps the state after each epoch; None keeps none.
    """

    epochs: int
    last_epoch: int
    seed: int
    checkpoint: Path | None

    def cooling(self, done_epochs: float) -> float:
        """Return the factor of the learning rate with which a training ends early, 0 to 1.

        Args:
            done_epochs: Number of epochs that are done, fractions included.
        """
        if self.last_epoch == self.epochs:
            return 1.0
        return min(1.0, max(0.0, (self.last_epoch - done_epochs) / COOLING_EPOCHS))


def trained(dataset: Dataset, run: FloatRun) -> MobileNetV2:
    """Train the network from random weights, or from the checkpoint of an interrupted run.

    Raises:
        ClickException: if the checkpoint belongs to a training with another number of epochs, another seed, or another
            last epoch before which the learning rate falls already.
    """
    torch.manual_seed(run.seed)
    module: MobileNetV2 = MobileNetV2().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # untyped
    labels = torch.from_numpy(np.asarray(dataset.train_y))
    steps = -(-len(labels) // BATCH_SIZE)
    optimizer = torch.optim.SGD(
        module.parameters(), LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps * run.epochs, pct_start=WARM_UP
    )
    parts: dict[str, Any] = {"module": module, "optimizer": optimizer, "schedule": schedule}
    first = 1
    if run.checkpoint is not None and run.checkpoint.exists():
        state = torch.load(run.checkpoint)
        if (state["epochs"], state["seed"]) != (run.epochs, run.seed):
            raise click.ClickException(
                f"'{run.checkpoint}' belongs to a training of {state['epochs']} epochs with seed {state['seed']}; "
                "expected the same options, or another file"
            )
        if state["last_epoch"] != run.last_epoch and state["epoch"] > run.last_epoch - COOLING_EPOCHS:
            raise click.ClickException(
                f"'{run.checkpoint}' has {state['epoch']} epochs; expected a last epoch of at least "
                f"{state['epoch'] + COOLING_EPOCHS}, before which the learning rate can fall"
            )
        for name, part in parts.items():
            part.load_state_dict(state[name])
        first = state["epoch"] + 1
    for epoch in range(first, run.last_epoch + 1):
        started = time.monotonic()
        loss = _epoch(module, dataset, labels, optimizer, schedule, run, epoch)
        sys.stderr.write(f"epoch {epoch} of {run.last_epoch}: loss {loss:.4f}, {time.monotonic() - started:.0f} s\n")
        if run.checkpoint is not None:
            state = {name: part.state_dict() for name, part in parts.items()}
            unfinished = run.checkpoint.with_suffix(".new")
            given = {"epochs": run.epochs, "last_epoch": run.last_epoch, "seed": run.seed}
            torch.save(state | given | {"epoch": epoch}, unfinished)
            unfinished.replace(run.checkpoint)
    module.eval()
    return module


def _epoch(
    module: MobileNetV2,
    dataset: Dataset,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.OneCycleLR,
    run: FloatRun,
    epoch: int,
) -> float:
    """Train on every image once, and return the mean loss."""
    module.train()
    total = 0.0
    generator = np.random.default_rng([run.seed, epoch])
    batches = np.array_split(generator.permutation(len(labels)), -(-len(labels) // BATCH_SIZE))
    for step, chosen in enumerate(batches):
        for group in optimizer.param_groups:  # the schedule sets the rate anew after each step
            group["lr"] *= run.cooling(epoch - 1 + step / len(batches))
        pixels = torch.from_numpy(np.asarray(dataset.train_x[chosen], dtype=np.float32)).permute(0, 3, 1, 2)
        loss = nn.functional.cross_entropy(module(shift_and_flip(pixels * PIXEL_SCALE, generator)), labels[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        optimizer.step()
        schedule.step()
        total += loss.item() * len(chosen)
    return total / len(labels)


@torch.no_grad()
def percent_right(network: Network, dataset: Dataset) -> float:
    """Return the accuracy of the float network on the whole test set, in percent."""
    assert dataset.test_x is not None  # noqa: S101  # CIFAR-10 has a test set
    assert dataset.test_y is not None  # noqa: S101
    module = float_module(network).eval()
    right = 0
    for start in range(0, len(dataset.test_x), _AT_ONCE):
        images = torch.from_numpy(to_input_tensor(dataset.test_x[start : start + _AT_ONCE], network))
        answers = module(images).argmax(dim=1).numpy()
        right += int((answers == dataset.test_y[start : start + _AT_ONCE]).sum())
    return 100 * right / len(dataset.test_x)


@click.command()
@click.option("--epochs", type=click.IntRange(1), default=24, show_default=True)
@click.option("--last-epoch", type=click.IntRange(COOLING_EPOCHS), help="End after this epoch (default: the last).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Number of torch's threads.")
@click.option("--checkpoint", type=click.Path(path_type=Path, dir_okay=False), help="Continue from this file.")
@click.option("--onnx", type=click.Path(path_type=Path, dir_okay=False), default=ONNX_FILE, help="File to write.")
def main(*, epochs: int, last_epoch: int | None, seed: int, threads: int, checkpoint: Path | None, onnx: Path) -> None:
    """Train the network, write it as ONNX, and print the test accuracy of the network that the file contains."""
    if last_epoch is not None and last_epoch > epochs:
        raise click.ClickException(f"--last-epoch is {last_epoch}; expected at most the number of epochs, {epochs}")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    dataset = cifar10.load()
    content = onnx_of(trained(dataset, FloatRun(epochs, last_epoch or epochs, seed, checkpoint)))
    onnx.write_bytes(content)
    network = read_network(content, onnx.stem)
    click.echo(f"{onnx.name}: {len(content):,} bytes, {percent_right(network, dataset):.2f} % of the test images")


if __name__ == "__main__":
    main()
