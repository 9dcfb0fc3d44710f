"""Float training of a plain convolutional network without batch norm, for spoken digits.

    python -m benchmarks.float_plain [--epochs N] [--threads N] [--seed N] [--onnx FILE]

Four convolutions with biases and ReLU, the mean of each channel, and ten classes: a network whose weights are all that
it has, because most exporters fold batch norm. It trains with Adam and a one-cycle learning rate, on recordings that
are shifted in time. The test set is used once, after the last epoch; no epoch is chosen by it.

`benchmarks/trained/plain_fsdd.onnx` was made by this script; `benchmarks/trained/README.md` states how. The data is in
`../shared`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from benchmarks import digits
from benchmarks.float_mobilenetv2 import percent_right
from network.network import Network
from network.reading import read_network
from qat.data.dataset import Dataset

ONNX_FILE: Final = Path(__file__).parent / "trained" / "plain_fsdd.onnx"

CONVOLUTIONS: Final = ((24, 3, (2, 1)), (32, 3, (2, 2)), (32, 3, (1, 1)), (40, 1, (1, 1)))
"""Output channels, size of the kernel and stride (time, frequency) of each convolution."""
FEATURE_SCALE: Final = 1 / 16
"""Factor by which features are multiplied in training. The ONNX file has it in its first weights instead."""
BATCH_SIZE: Final = 32
LEARNING_RATE: Final = 3e-3
WEIGHT_DECAY: Final = 1e-2
MOST_SHIFTED: Final = 4
"""Largest number of time steps by which a recording is shifted in training, to both sides."""
_OPSET: Final = 17


class PlainNetwork(nn.Module):
    """Convolutions with biases and ReLU, the mean of each channel, and a fully connected layer.

    forward: features [n, 1, time, frequencies] to logits [n, 10].
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = 1
        self.convolutions = nn.ModuleList()
        for channels, kernel, stride in CONVOLUTIONS:
            self.convolutions.append(nn.Conv2d(inputs, channels, kernel, stride, kernel // 2))
            inputs = channels
        self.classes = nn.Linear(inputs, 10)

    def forward(self, features: Tensor) -> Tensor:
        for convolution in self.convolutions:
            features = torch.relu(convolution(features))
        logits: Tensor = self.classes(features.mean(dim=(2, 3)))
        return logits


def trained(dataset: Dataset, epochs: int, seed: int) -> PlainNetwork:
    """Train the network from random weights."""
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    module = PlainNetwork()
    features = FEATURE_SCALE * torch.from_numpy(np.asarray(dataset.train_x[:], dtype=np.float32))
    labels = torch.from_numpy(np.asarray(dataset.train_y))
    steps = -(-len(labels) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(module.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps * epochs)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for chosen in np.array_split(generator.permutation(len(labels)), steps):
            answers = module(shifted(features[chosen], generator))
            loss = nn.functional.cross_entropy(answers, labels[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
            optimizer.step()
            schedule.step()
            total += loss.item() * len(chosen)
        sys.stderr.write(f"epoch {epoch} of {epochs}: loss {total / len(labels):.4f}\n")
    return module.eval()


def shifted(features: Tensor, generator: np.random.Generator) -> Tensor:
    """Move each recording in time by a random number of steps; its first or last step fills the gap.

    Args:
        features: Features of recordings, [n, 1, time, frequencies].
        generator: Generator of the random numbers.
    """
    length = features.shape[2]
    moves = torch.from_numpy(generator.integers(-MOST_SHIFTED, MOST_SHIFTED + 1, len(features)))
    places = (torch.arange(length)[None] + moves[:, None]).clamp(0, length - 1)
    return features.gather(2, places[:, None, :, None].expand_as(features))


def onnx_of(module: PlainNetwork) -> bytes:
    """Return the network as the content of an ONNX file whose input `features` is not scaled."""
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []

    def node(kind: str, name: str, inputs: list[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def parameters(name: str, layer: nn.Conv2d | nn.Linear, scale: float) -> list[str]:
        assert layer.bias is not None  # noqa: S101  # every layer has one
        for what, values in (("weight", scale * layer.weight), ("bias", layer.bias)):
            constants.append(numpy_helper.from_array(values.detach().numpy(), f"{name}.{what}"))
        return [f"{name}.weight", f"{name}.bias"]

    trunk = "features"
    for index, layer in enumerate(module.convolutions):
        assert isinstance(layer, nn.Conv2d)  # noqa: S101  # as built
        (kernel, _), name = layer.kernel_size, f"conv{index + 1}"
        sums = node(
            "Conv", name, [trunk, *parameters(name, layer, 1.0 if index else FEATURE_SCALE)],
            kernel_shape=[kernel, kernel], strides=list(layer.stride), pads=[kernel // 2] * 4,
        )  # fmt: skip
        trunk = node("Relu", f"{name}_relu", [sums])
    flat = node("Flatten", "flat", [node("GlobalAveragePool", "mean", [trunk])], axis=1)
    output = node("Gemm", "classes", [flat, *parameters("classes", module.classes, 1.0)], transB=1)
    graph = helper.make_graph(
        nodes,
        "plain_fsdd",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", *digits.FEATURES])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", module.classes.out_features])],
        constants,
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


@click.command()
@click.option("--epochs", type=click.IntRange(1), default=60, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Number of torch's threads.")
@click.option("--onnx", type=click.Path(path_type=Path, dir_okay=False), default=ONNX_FILE, help="File to write.")
def main(*, epochs: int, seed: int, threads: int, onnx: Path) -> None:
    """Train the network, write it as ONNX, and print the test accuracy of the network that the file contains."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    dataset = digits.load()
    content = onnx_of(trained(dataset, epochs, seed))
    onnx.write_bytes(content)
    network: Network = read_network(content, onnx.stem)
    click.echo(f"{onnx.name}: {len(content):,} bytes, {percent_right(network, dataset):.2f} % of the test recordings")


if __name__ == "__main__":
    main()
