"""Small torch modules, written in the style of the common libraries of torch models."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor, nn


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


def mobilenet_v1(width: int = 8, classes: int = 10) -> nn.Module:
    layers: list[nn.Module] = [*conv_norm(3, width, stride=2), nn.ReLU6(inplace=True)]
    for inputs, outputs, stride in ((1, 2, 1), (2, 4, 2), (4, 4, 1), (4, 8, 2), (8, 8, 1)):
        layers += [*conv_norm(inputs * width, inputs * width, stride=stride, groups=inputs * width), nn.ReLU6()]
        layers += [*conv_norm(inputs * width, outputs * width, kernel=1), nn.ReLU6(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, classes))


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expansion, depthwise convolution, linear projection and residual addition."""

    def __init__(self, inputs: int, outputs: int, stride: int, widening: int) -> None:
        super().__init__()
        wide = inputs * widening
        expand = [*conv_norm(inputs, wide, kernel=1), nn.ReLU6(inplace=True)] if widening > 1 else []
        depthwise = [*conv_norm(wide, wide, stride=stride, groups=wide), nn.ReLU6(inplace=True)]
        self.body = nn.Sequential(*expand, *depthwise, *conv_norm(wide, outputs, kernel=1))
        self.is_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.is_residual else y


class MobileNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_norm(3, 8, stride=2), nn.ReLU6(inplace=True))
        self.blocks = nn.Sequential(
            InvertedResidual(8, 8, 1, 1),
            InvertedResidual(8, 12, 2, 6),
            InvertedResidual(12, 12, 1, 6),
            InvertedResidual(12, 16, 2, 4),
        )
        self.head = nn.Sequential(*conv_norm(16, 32, kernel=1), nn.ReLU6(inplace=True))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.head(self.blocks(self.stem(x)))
        logits: Tensor = self.classifier(features.mean([2, 3]))
        return logits


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, *, norm_on_shortcut: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_norm(inputs, outputs, stride=stride)
        self.conv2, self.bn2 = conv_norm(outputs, outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            conv, norm = conv_norm(inputs, outputs, kernel=1, stride=stride)
            self.shortcut = nn.Sequential(conv, norm) if norm_on_shortcut else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.shortcut(x)
        return F.relu(y)


class ResNet(nn.Module):
    """ResNet8 of MLPerf Tiny (one block per stage, no batch norm on shortcuts) or ResNet-20 (three, batch norm)."""

    def __init__(self, blocks: int, width: int = 8) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv_norm(3, width)
        stages, inputs = [], width
        for stage in range(3):
            for block in range(blocks):
                outputs, stride = width << stage, 2 if stage and not block else 1
                stages.append(BasicBlock(inputs, outputs, stride, norm_on_shortcut=blocks > 1))
                inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(F.relu(self.bn1(self.conv1(x))))
        x = F.avg_pool2d(x, x.size(3))
        logits: Tensor = self.fc(x.view(x.size(0), -1))
        return logits


def ds_cnn(channels: int = 16) -> nn.Module:
    """Return MLPerf Tiny's keyword spotting network, with TensorFlow's padding: more at the bottom and at the right."""
    layers: list[nn.Module] = [
        nn.ZeroPad2d((1, 2, 4, 5)),
        nn.Conv2d(1, channels, (10, 4), 2),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Dropout(0.2),
    ]
    for _ in range(2):
        for kernel, groups in ((3, channels), (1, 1)):
            conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=groups)
            layers += [conv, nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(channels, 12), nn.Softmax(dim=1))


class DenseLayer(nn.Module):
    """DenseNet's layer: batch norm and ReLU before the convolution."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(F.relu(self.norm(x), inplace=True))], 1)


def densenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        DenseLayer(8, 4),
        DenseLayer(12, 4),
        *(nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 1), nn.MaxPool2d(3, 2, 1)),
        DenseLayer(8, 4),
        *(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(12, 5)),
    )


def autoencoder() -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((40, 16), (16, 4), (4, 16)):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(16, 40))


def lived_in(module: nn.Module, example: Tensor) -> nn.Module:
    """Change the batch norms of a module so that none is the identity: real statistics, some gammas negative."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = None  # the running statistics become the average over all inputs
            if norm.affine:
                norm.weight.copy_(torch.randn_like(norm.weight) * 0.3 + 1).mul_(
                    1 - 2 * (torch.rand_like(norm.weight) < 0.1)
                )
                norm.bias.normal_(0, 0.5)
        if norms:
            module.train()(example)
    return module
