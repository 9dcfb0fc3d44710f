"""CIFAR-10 dataset from JPEG files, decoded without further processing; see `../shared/README.md`."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from qat.data.dataset import Dataset

SHARED = Path(__file__).parents[2] / "shared"
FILE = SHARED / "data" / "cifar10_jpeg.npz"


def load() -> Dataset:
    """Read the CIFAR-10 dataset: 50,000 training and 10,000 test images, uint8 [n, 32, 32, 3], in about 10 s.

    Raises:
        FileNotFoundError: if the data is missing.
    """
    with np.load(FILE) as arrays:
        return Dataset(
            "cifar10",
            _decoded(arrays["train_jpeg"], arrays["train_offsets"]),
            arrays["train_labels"].astype(np.int64),
            _decoded(arrays["test_jpeg"], arrays["test_offsets"]),
            arrays["test_labels"].astype(np.int64),
        )


def _decoded(files: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    images = np.empty((len(offsets) - 1, 32, 32, 3), dtype=np.uint8)
    content = files.tobytes()
    for index, (start, end) in enumerate(itertools.pairwise(offsets.tolist())):
        images[index] = np.asarray(Image.open(io.BytesIO(content[start:end])))
    return images
