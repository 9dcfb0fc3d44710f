"""Retrain a torch module with few bits in a custom training loop: `python -m examples.own_training_loop`.

    torch module --read_module--> network --fit--> bits --prepare--> torch module --convert--> integer-only network

`train` is the user's function. It trains first the float module and later the quantized module, and does not depend on
bits. Both are plain `nn.Module`s, so any optimizer, `torch.compile` and any trainer can be used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812  # the usual name in torch code
from torch import Tensor, nn

import bitbudget
from examples.digits.train_digits import build_network


def train(module: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, epochs: int) -> None:
    module.train()
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(images)), 64):
            loss = F.cross_entropy(module(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no type annotation for it
            optimizer.step()
    module.eval()


@torch.no_grad()
def accuracy_percent(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    right: Tensor = module(images).argmax(dim=1) == labels
    return right.float().mean().item() * 100


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Retrain a torch module with few bits in a custom training loop.")
    parser.add_argument("--float-epochs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--out", type=Path, help="the directory for the integer-only network")
    arguments = parser.parse_args(given)
    torch.manual_seed(0)

    dataset = bitbudget.dataset("digits")
    float_module = build_network()
    example = torch.zeros(2, 1, 8, 8)
    images, test_images = (
        torch.tensor(each[:], dtype=torch.float32).permute(0, 3, 1, 2) for each in (dataset.train_x, dataset.test_x)
    )
    labels, test_labels = torch.from_numpy(dataset.train_y), torch.from_numpy(dataset.test_y)
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(float_module.parameters(), lr=3e-3)
    train(float_module, optimizer, images, labels, arguments.float_epochs)

    network = bitbudget.read_module(float_module, example, "digits")
    fitted = bitbudget.fit(network, flash="18kB", ram=2800)

    module = bitbudget.prepare(fitted.network, fitted.allocation, dataset.train_x[:256])
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    before = accuracy_percent(module.eval(), test_images, test_labels)
    train(module, optimizer, images, labels, arguments.epochs)
    integer_network = bitbudget.convert(module)

    print(f"bits of weights      {list(fitted.weight_bits.values())}")
    print(f"float                {accuracy_percent(float_module, test_images, test_labels):6.2f} %")
    print(f"quantized, untrained {before:6.2f} %")
    print(f"quantized, trained   {accuracy_percent(module, test_images, test_labels):6.2f} %")
    if arguments.out is not None:
        print(f"wrote {', '.join(bitbudget.save(integer_network, arguments.out))}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
