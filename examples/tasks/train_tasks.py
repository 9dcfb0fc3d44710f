"""Train a small float network for each task, then train it with few bits: `python -m examples.tasks.train_tasks`.

    float module --read_module--> network --train--> integer-only network, judged by the task's own metric

The task follows from the targets: nothing but the data names it. `--out` keeps NAME.json and NAME.npz, which the
command reads, too: `bitbudget train NAME.json --data NAME.npz --flash 20kB --ram 10kB --out trained`.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import bitbudget
from examples.tasks.problems import PROBLEMS, Problem


def trained_network(problem: Problem, *, epochs: int | None = None) -> bitbudget.Network:
    """Train the float module of a problem, and return it as a network.

    Args:
        problem: The problem.
        epochs: Number of epochs; None takes the problem's.
    """
    torch.manual_seed(0)
    dataset = problem.dataset
    samples = torch.from_numpy(np.array(dataset.train_x[:]))
    assert dataset.train_y is not None  # noqa: S101  # every problem has targets
    targets = torch.from_numpy(np.array(dataset.train_y[:]))
    module, count = problem.module, problem.epochs if epochs is None else epochs
    optimizer = torch.optim.AdamW(module.parameters(), weight_decay=1e-4)
    steps = count * -(-len(samples) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    module.train()
    for _ in range(count):
        for batch in torch.split(torch.randperm(len(samples)), 64):
            loss = _loss(problem, module, samples[batch], targets[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no type annotation for it
            optimizer.step()
            schedule.step()
    return bitbudget.read_module(module.eval(), samples[:1], dataset.name)


def _loss(problem: Problem, module: nn.Module, samples: Tensor, targets: Tensor) -> Tensor:
    outputs = module(samples)
    if outputs.shape == samples.shape and targets.ndim == 1:
        targets = samples  # an autoencoder
    elif targets.ndim == 1:
        targets = targets[:, None].to(outputs.dtype)  # one logit
    elif not targets.is_floating_point():
        targets = targets.long()  # the class of each pixel
    loss: Tensor = problem.loss(outputs, targets)
    return loss


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train a small network for each task, then with few bits.")
    parser.add_argument("names", nargs="*", help=f"names of problems: {', '.join(PROBLEMS)}; without names, all")
    parser.add_argument("--epochs", type=int, default=2, help="epochs with few bits")
    parser.add_argument("--out", type=Path, help="folder for NAME.json and NAME.npz")
    arguments = parser.parse_args(given)
    if unknown := [name for name in arguments.names if name not in PROBLEMS]:
        parser.error(f"unknown problem: {unknown[0]}; expected {', '.join(PROBLEMS)}")
    for name in arguments.names or PROBLEMS:
        problem = PROBLEMS[name]()
        network, dataset = trained_network(problem), problem.dataset
        if arguments.out is not None:
            arguments.out.mkdir(parents=True, exist_ok=True)
            bitbudget.write(network, arguments.out / f"{name}.json")
            arrays = {"train_x": dataset.train_x, "train_y": dataset.train_y, "test_x": dataset.test_x}
            np.savez(arguments.out / f"{name}.npz", test_y=dataset.test_y, **arrays)  # type: ignore[arg-type]  # arrays
        with tempfile.TemporaryDirectory() as folder:
            result = bitbudget.train(
                network, dataset, flash="1MB", ram="1MB", allowed_weight_bits={"*": [4]}, out=Path(folder) / "out",
                training={"epochs": arguments.epochs},
            )  # fmt: skip
        print(f"{name}: {result!r}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
