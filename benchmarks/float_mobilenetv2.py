"""Float training of a depthwise network with inverted residuals, in the shape of MobileNetV2, for CIFAR-10.

    python -m benchmarks.float_mobilenetv2 [--epochs N] [--threads N] [--seed N] [--checkpoint FILE] [--onnx FILE]

Trains by stochastic gradient descent with a one-cycle learning rate, on images that are shifted and mirrored. The test
set is used once, after the last epoch; no epoch is chosen by it. The network is written as ONNX with its batch norm as
nodes of their own, so that the benchmarks of accuracy can train with it. Its input are pixels, 0 to 255, as they are.

`benchmarks/trained/mobilenetv2_cifar10.onnx` was made by this script; `benchmarks/trained/README.md` states how. The
data is in `../shared`. After each epoch, the state is written to the checkpoint, so that an interrupted training can be
continued; a training with another number of epochs or another seed needs another file.
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
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class FloatRun:
    """Options of a float training.

    Attributes:
        epochs: Number of epochs.
        seed: Seed of the initial weights, of the order of the images and of the augmentation.
        checkpoint: File that keeps the state after each epoch; None keeps none.
    """

    epochs: int
    seed: int
    checkpoint: Path | None


def trained(dataset: Dataset, run: FloatRun) -> MobileNetV2:
    """Train the network from random weights, or from the checkpoint of an interrupted run.

    Raises:
        ClickException: if the checkpoint belongs to a training with another number of epochs or another seed.
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
        for name, part in parts.items():
            part.load_state_dict(state[name])
        first = state["epoch"] + 1
    for epoch in range(first, run.epochs + 1):
        started = time.monotonic()
        loss = _epoch(module, dataset, labels, optimizer, schedule, np.random.default_rng([run.seed, epoch]))
        sys.stderr.write(f"epoch {epoch} of {run.epochs}: loss {loss:.4f}, {time.monotonic() - started:.0f} s\n")
        if run.checkpoint is not None:
            state = {name: part.state_dict() for name, part in parts.items()}
            unfinished = run.checkpoint.with_suffix(".new")
            torch.save(state | {"epoch": epoch, "epochs": run.epochs, "seed": run.seed}, unfinished)
            unfinished.replace(run.checkpoint)
    module.eval()
    return module


def _epoch(
    module: MobileNetV2,
    dataset: Dataset,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.OneCycleLR,
    generator: np.random.Generator,
) -> float:
    """Train on every image once, and return the mean loss."""
    module.train()
    total = 0.0
    for chosen in np.array_split(generator.permutation(len(labels)), -(-len(labels) // BATCH_SIZE)):
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
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Number of torch's threads.")
@click.option("--checkpoint", type=click.Path(path_type=Path, dir_okay=False), help="Continue from this file.")
@click.option("--onnx", type=click.Path(path_type=Path, dir_okay=False), default=ONNX_FILE, help="File to write.")
def main(*, epochs: int, seed: int, threads: int, checkpoint: Path | None, onnx: Path) -> None:
    """Train the network, write it as ONNX, and print the test accuracy of the network that the file contains."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    dataset = cifar10.load()
    content = onnx_of(trained(dataset, FloatRun(epochs, seed, checkpoint)))
    onnx.write_bytes(content)
    network = read_network(content, onnx.stem)
    click.echo(f"{onnx.name}: {len(content):,} bytes, {percent_right(network, dataset):.2f} % of the test images")


if __name__ == "__main__":
    main()
