"""Small problems of each task, on real data: samples, targets, and an untrained float module.

| name | task | data | network |
|---|---|---|---|
| `logit` | two classes by one logit | breast cancer of scikit-learn, 30 features | 3 fully connected layers |
| `diabetes` | regression | diabetes of scikit-learn, 10 features | 3 fully connected layers |
| `prices` | regression of 2 targets | prices of houses, drawn from a formula | 3 fully connected layers |
| `segmentation` | 3 classes of pixels | digits of scikit-learn on a noisy canvas, 16 x 16 | 5 convolutions |
| `denoiser` | images | patches of scikit-learn's photographs with noise, 16 x 16 | 5 convolutions |
| `autoencoder` | anomaly | features of spoken digits, one digit left out | the autoencoder of MLPerf Tiny |
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import datasets, model_selection  # type: ignore[import-untyped]  # scikit-learn ships no types
from torch import nn

from bitbudget import Dataset

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Problem:
    """Samples, targets and an untrained module of one task.

    Attributes:
        dataset: The samples and targets.
        module: The untrained float module, from samples as the network's input to its output.
        loss: Loss of the float training, from outputs [n, ...] and targets.
        epochs: Number of epochs of the float training.
    """

    dataset: Dataset
    module: nn.Module
    loss: Callable[..., Any]
    epochs: int


def logit() -> Problem:
    """Return breast cancer as two classes by one logit, with standardised features."""
    found = datasets.load_breast_cancer()
    samples, targets = _standardised(found.data), found.target.astype(np.int64)
    dataset = _divided("logit", samples, targets)
    return Problem(dataset, perceptron(30, 1), nn.functional.binary_cross_entropy_with_logits, 40)


def diabetes() -> Problem:
    """Return the progression of diabetes after a year as a regression, divided by 100."""
    found = datasets.load_diabetes()
    samples, targets = _standardised(found.data), (found.target[:, None] / 100).astype(np.float32)
    return Problem(_divided("diabetes", samples, targets), perceptron(10, 1), nn.functional.mse_loss, 15)


def prices() -> Problem:
    """Return the price and the rent of houses, drawn from a formula of 8 features with noise.

    The formula stands in for the housing sets that scikit-learn downloads: prices grow with income and rooms, fall with
    the distance from the centre, and saturate.
    """
    rng = np.random.default_rng(0)
    features = rng.standard_normal((3000, 8))
    income, rooms, age, distance = features[:, :4].T
    price = 3 * np.tanh(0.6 * income + 0.3 * rooms) + np.exp(-0.5 * distance**2) - 0.2 * age * (distance > 0)
    rent = 0.5 * income + 0.4 * np.maximum(rooms, 0) - 0.3 * distance
    targets = np.stack([price, rent], axis=1) + 0.1 * rng.standard_normal((3000, 2))
    dataset = _divided("prices", features.astype(np.float32), targets.astype(np.float32))
    return Problem(dataset, perceptron(8, 2), nn.functional.mse_loss, 30)


def segmentation(count: int = 3000) -> Problem:
    """Return digits on a noisy canvas; each pixel is background, or the stroke of an even or of an odd digit."""
    rng = np.random.default_rng(0)
    images, numbers = datasets.load_digits(return_X_y=True)
    canvases = rng.uniform(0, 4, (count, 1, 16, 16)).astype(np.float32)
    masks = np.zeros((count, 16, 16), dtype=np.uint8)
    for canvas, mask in zip(canvases, masks, strict=True):
        chosen = int(rng.integers(len(images)))
        row, column = rng.integers(0, 9, 2)
        digit = images[chosen].reshape(8, 8)
        place = np.s_[row : row + 8, column : column + 8]
        canvas[0][place] = np.maximum(canvas[0][place], digit)
        mask[place] = np.where(digit > 6, 1 + numbers[chosen] % 2, 0)
    dataset = _divided("segmentation", canvases, masks)
    return Problem(dataset, image_network(1, 3, 24), nn.functional.cross_entropy, 12)


def denoiser(count: int = 3000) -> Problem:
    """Return noisy patches of a photograph and the clean ones; the test patches are from another photograph."""
    rng = np.random.default_rng(0)
    photographs = [each.mean(axis=2) / 255 for each in datasets.load_sample_images().images]

    def patches(photograph: Array, number: int) -> Array:
        corners = rng.integers(0, np.array(photograph.shape) - 16, (number, 2))
        return np.stack([photograph[y : y + 16, x : x + 16] for y, x in corners])[:, None].astype(np.float32)

    clean, test = patches(photographs[0], count), patches(photographs[1], count // 5)
    noisy, test_noisy = ((each + 0.1 * rng.standard_normal(each.shape)).astype(np.float32) for each in (clean, test))
    dataset = Dataset("denoiser", noisy, clean, test_noisy, test)
    return Problem(dataset, image_network(1, 1, 24), nn.functional.mse_loss, 12)


def autoencoder(features: Array, numbers: Array, test: Array, test_numbers: Array, anomaly: int = 9) -> Problem:
    """Return features of spoken digits for an autoencoder; one digit is the anomaly, which training never sees.

    Args:
        features: Training features, float32 [n, values].
        numbers: The digit of each training sample, [n].
        test: Test features, float32 [m, values].
        test_numbers: The digit of each test sample, [m].
        anomaly: The digit that is the anomaly.
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-3
    normal = ((features[numbers != anomaly] - mean) / deviation).astype(np.float32)
    # Anomalies that training would have seen are used for the test.
    others = np.concatenate([features[numbers == anomaly], test[test_numbers == anomaly]])
    tests = np.concatenate([test[test_numbers != anomaly], others])
    flags = np.repeat([0, 1], [len(tests) - len(others), len(others)])
    dataset = Dataset(
        "autoencoder", normal, np.zeros(len(normal), np.int64), ((tests - mean) / deviation).astype(np.float32), flags
    )
    return Problem(dataset, autoencoder_network(features.shape[1]), nn.functional.mse_loss, 60)


def perceptron(inputs: int, outputs: int, hidden: int = 64) -> nn.Module:
    """Return three fully connected layers."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


def image_network(inputs: int, outputs: int, channels: int) -> nn.Module:
    """Return five convolutions that keep the size of the image."""
    modules: list[nn.Module] = []
    for width in (inputs, channels, channels, channels):
        modules += [nn.Conv2d(width, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*modules, nn.Conv2d(channels, outputs, 1))


def autoencoder_network(values: int) -> nn.Module:
    """Return the autoencoder of MLPerf Tiny: layers of 4 x 128, 8, 4 x 128, and as many values as the input."""
    modules: list[nn.Module] = []
    widths = (values, 128, 128, 128, 128, 8, 128, 128, 128, 128)
    for inputs, outputs in itertools.pairwise(widths):
        modules += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*modules, nn.Linear(widths[-1], values))


def _standardised(features: Array) -> Array:
    standard: Array = ((features - features.mean(axis=0)) / features.std(axis=0)).astype(np.float32)
    return standard


def _divided(name: str, samples: Array, targets: Array) -> Dataset:
    train_x, test_x, train_y, test_y = model_selection.train_test_split(samples, targets, test_size=0.2, random_state=0)
    return Dataset(name, train_x, train_y, test_x, test_y)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "logit": logit,
    "diabetes": diabetes,
    "prices": prices,
    "segmentation": segmentation,
    "denoiser": denoiser,
}
"""The problems whose data come with scikit-learn."""
