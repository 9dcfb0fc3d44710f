"""Train the float network of the digits example and write it to digits.onnx: `python -m examples.digits.train_digits`.

    input [N, 1, 8, 8], pixels from 0 to 16 without normalisation
    convolution 3x3                     16 channels   8x8
    depthwise 3x3, pointwise            32 channels   8x8
    depthwise 3x3 stride 2, pointwise   64 channels   4x4
    depthwise 3x3, pointwise            64 channels   4x4
    average over the image, fully connected, 10 classes

Every convolution is followed by a batch norm and a ReLU. The file keeps the batch norms: quantization
needs them to choose between folding them into the weights and folding them into the requantization. torch's exporter
folds them, so the file is written with onnx.helper.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from qat.data.dataset import Dataset, SampleSource, TargetSource, labelled
from qat.data.digits import digits

BLOCKS = ((32, 1), (64, 2), (64, 1))
"""Output channels and stride of each depthwise-separable block."""

OPSET = 17
"""The ONNX opset of the file: all current readers of ONNX support it, and it has all operators of this network."""


def build_network(stem_channels: int = 16, classes: int = 10) -> nn.Sequential:
    """Build an untrained float network for 8x8 images of digits: from images [n, 1, 8, 8] to logits [n, classes]."""
    layers: list[nn.Module] = [*_convolution(1, stem_channels)]
    channels = stem_channels
    for output_channels, stride in BLOCKS:
        layers += _convolution(channels, channels, stride=stride, groups=channels)
        layers += _convolution(channels, output_channels, kernel=1)
        channels = output_channels
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]
    return nn.Sequential(*layers)


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> Iterator[nn.Module]:
    yield nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    yield nn.BatchNorm2d(outputs)
    yield nn.ReLU()


def train(dataset: Dataset, epochs: int, seed: int) -> nn.Sequential:
    """Train a network on training images that are shifted by up to one pixel; return the network of the last epoch."""
    torch.manual_seed(seed)
    network = build_network()
    images, labels = _tensors(dataset.train_x, dataset.train_y)
    batch_size = 32
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    regime = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1e-2, total_steps=epochs * -(-len(images) // batch_size)
    )
    for epoch in range(epochs):
        losses = []
        for batch in torch.split(torch.randperm(len(images)), batch_size):
            loss = nn.functional.cross_entropy(network(_shifted(images[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no type annotation for it
            optimizer.step()
            regime.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1:2d} of {epochs}: loss {np.mean(losses):.3f}")
    return network.eval()


def accuracy_percent(network: nn.Module, dataset: Dataset) -> float:
    """Return the top-1 accuracy of a network on the test images, in percent."""
    images, labels = _tensors(dataset.test_x, dataset.test_y)
    with torch.no_grad():
        right = network(images).argmax(1) == labels
    return float(right.double().mean()) * 100


def _tensors(images: SampleSource, labels: TargetSource | None) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(images[:]).permute(0, 3, 1, 2).float().contiguous(), torch.from_numpy(labelled(labels))


def _shifted(images: Tensor) -> Tensor:
    """Shift each image by -1, 0 or 1 pixel along both axes, and fill the edge with zeros (white paper)."""
    height, width = images.shape[2:]
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    offsets = torch.randint(0, 3, (len(images), 2)).tolist()
    return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, offsets, strict=True)])


def to_onnx(network: nn.Sequential) -> onnx.ModelProto:
    """Return a trained torch network as an ONNX model, with one node for each module and with unfolded batch norms."""
    nodes: list[onnx.NodeProto] = []
    parameters: list[onnx.TensorProto] = []
    tensor = "image"
    for module, name in zip(network, _layer_names(), strict=True):
        operator, values, attributes = _onnx_operator(module)
        parameters += [numpy_helper.from_array(value, f"{name}.{what}") for what, value in values.items()]
        inputs = [tensor, *(f"{name}.{what}" for what in values)]
        nodes.append(helper.make_node(operator, inputs, [name], name, None, None, None, **attributes))
        tensor = name
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["N", 10])],
        parameters,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="bitbudget-example")
    model.ir_version = 8  # the IR version that was released with the opset
    onnx.checker.check_model(model, full_check=True)
    return model


def _onnx_operator(module: nn.Module) -> tuple[str, dict[str, np.ndarray], dict[str, Any]]:
    """Return the ONNX operator of a torch module: its name, its parameter tensors and its attributes."""
    state = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    match module:
        case nn.Conv2d():
            attributes = {"group": module.groups, "kernel_shape": module.kernel_size, "strides": module.stride}
            return "Conv", state, attributes | {"pads": (*module.padding, *module.padding)}
        case nn.BatchNorm2d():
            in_order = {name: state[name] for name in ("weight", "bias", "running_mean", "running_var")}
            return "BatchNormalization", in_order, {"epsilon": module.eps}
        case nn.Linear():
            return "Gemm", state, {"transB": 1}
        case nn.ReLU():
            return "Relu", {}, {}
        case nn.AdaptiveAvgPool2d():
            return "GlobalAveragePool", {}, {}
        case nn.Flatten():
            return "Flatten", {}, {}
        case _:
            raise TypeError(f"this script has no ONNX operator for {type(module).__name__}")


def _layer_names() -> Iterator[str]:
    """Yield the names of the ONNX nodes: stem, stem.norm, stem.relu, block1.depthwise, ..., flatten, classes."""
    blocks = [f"block{block + 1}.{part}" for block in range(len(BLOCKS)) for part in ("depthwise", "pointwise")]
    for layer in ("stem", *blocks):
        yield from (layer, f"{layer}.norm", f"{layer}.relu")
    yield from ("pool", "flatten", "classes")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the digits network and write it as ONNX.")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("digits.onnx"))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    dataset = digits()
    network = train(dataset, arguments.epochs, arguments.seed)
    model = to_onnx(network)
    arguments.out.write_bytes(model.SerializeToString())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{parameters} parameters, {accuracy_percent(network, dataset):.2f} % of {len(dataset.test_x)} test images")
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
