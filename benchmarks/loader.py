"""Benchmark of the speed of loading training samples, compared with the speed of training steps.

    python -m benchmarks.loader [--batches N] [--threads N] [--json]

The training step is forward, backward and Adam of ResNet8 (`../shared/models/resnet8_cifar10.onnx`), fake-quantized at
8 bits, on one batch of 128 images that stays in memory. The samples are CIFAR-10 from memory with each kind of
augmentation, CIFAR-10 as PNG in shards and Parquet files, and JPEG files of 500 x 375 pixels with noise on several
scales.

All times are processor seconds of one process, one batch at a time, and the median of several rounds counts. Processor
seconds show how much time loading takes from training if both share the cores, and do not depend on other processes.
With more cores than training can use, other processes load the samples, which slows training less.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tarfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from benchmarks import cifar10, networks
from benchmarks.markdown import markdown
from benchmarks.resnet8 import allocation_for
from network.network import Network
from qat.data.batches import batches_of, group_starts_of
from qat.data.dataset import Dataset, Labels, SampleSource, labelled
from qat.data.images import fitted
from qat.data.loader import Batch, training_batches
from qat.data.opening import open_dataset
from qat.options.augmentation import AugmentationOptions, preset
from qat.prepare import prepare

BATCH = 128
ROUNDS = 3
"""Number of rounds; each round runs all cases, so that a change of the machine's load affects all of them."""
PHOTOGRAPH = (375, 500)
LEARNING_RATE = 1e-4


@dataclass(frozen=True, slots=True)
class Case:
    """Case of the loading benchmark: training samples and their augmentation."""

    name: str
    augmentation: str
    samples: SampleSource
    labels: Labels


@dataclass(frozen=True, slots=True)
class Row:
    """Loading time of one benchmark case, in processor seconds for each batch."""

    samples: str
    augmentation: str
    loader_seconds: float
    step_seconds: float

    @property
    def cost_percent(self) -> float:
        """Loading time of a batch in percent of the time of a training step."""
        return 100 * self.loader_seconds / self.step_seconds


class Trainer:
    """Trainer of a fake-quantized ResNet8 that performs single training steps."""

    def __init__(self, resnet8: Network, samples: npt.NDArray[np.uint8]) -> None:
        self._module = prepare(resnet8, allocation_for(resnet8, 1.0), samples)
        self._module.train()
        self._optimizer = torch.optim.Adam(self._module.parameters(), LEARNING_RATE)

    def step(self, batch: Batch) -> None:
        loss = torch.nn.functional.cross_entropy(self._module(batch.images), batch.targets)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no annotation
        self._optimizer.step()
        self._module.keep_valid()


def cases(dataset: Dataset, directory: Path, images: int, resnet8: Network) -> list[Case]:
    """Return all cases of the loading benchmark, each with the given number of images."""
    pixels, labels = dataset.train_x[:images], labelled(dataset.train_y)[:images]
    found = [
        Case("in memory", name, pixels, labels)
        for name in ("none", "flip_shift", "flip_shift_mixup", "imagenet", "flip_shift_rand", "imagenet_rand")
    ]
    members = [encoded(each, "PNG") for each in pixels]
    for name, place, augmentation in (
        ("PNG in shards", shards(directory / "shards", members, labels), "flip_shift"),
        ("PNG in Parquet", parquet(directory / "parquet", members, labels), "flip_shift"),
        ("JPEG 500 x 375 in shards", photographs(directory / "photographs", labels), "imagenet"),
    ):
        opened = fitted(open_dataset(place), resnet8)
        found.append(Case(name, augmentation, opened.train_x, labelled(opened.train_y)))
    return found


def encoded(pixels: npt.NDArray[np.uint8], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, quality=90)
    return buffer.getvalue()


def shards(root: Path, members: list[bytes], labels: Labels) -> Path:
    """Write encoded images and their labels into .tar archives (shards) of 1000 samples each."""
    root.mkdir()
    for number, start in enumerate(range(0, len(members), 1000)):
        with tarfile.open(root / f"train-{number:06d}.tar", "w") as archive:
            for index, content in enumerate(members[start : start + 1000], start):
                for name, each in ((f"{index:06d}.jpg", content), (f"{index:06d}.cls", b"%d" % labels[index])):
                    info = tarfile.TarInfo(name)
                    info.size = len(each)
                    archive.addfile(info, io.BytesIO(each))
    return root


def parquet(root: Path, members: list[bytes], labels: Labels) -> Path:
    root.mkdir()
    image = [{"bytes": each, "path": None} for each in members]
    pq.write_table(pa.table({"image": image, "label": labels}), root / "train.parquet", row_group_size=100)
    return root


def photographs(root: Path, labels: Labels) -> Path:
    """Write .tar archives (shards) of fifty repeated noise images, as JPEG of about 80 kB each."""
    generator = np.random.default_rng(0)
    height, width = PHOTOGRAPH
    made = []
    for _ in range(50):
        total = np.zeros((height, width, 3))
        for scale in (2, 5, 20, 80):
            small = generator.uniform(0, 64, (height // scale + 1, width // scale + 1, 3)).astype(np.uint8)
            total += np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
        made.append(encoded(total.clip(0, 255).astype(np.uint8), "JPEG"))
    return shards(root, [made[index % len(made)] for index in range(len(labels))], labels)


def batches(case: Case, resnet8: Network, epoch: int) -> Iterator[Batch]:
    order = batches_of(np.arange(len(case.samples)), BATCH, 0, epoch, group_starts_of(case.samples))
    augmentation: AugmentationOptions = preset(case.augmentation)
    return training_batches(case.samples, case.labels, resnet8, order, augmentation, seed=0, epoch=epoch, workers=0)


def step_seconds(trainer: Trainer, resident: Batch, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        started = time.process_time()
        trainer.step(resident)
        seconds.append(time.process_time() - started)
    return seconds


def loader_seconds(loader: Iterator[Batch], count: int) -> list[float]:
    """Measure the processor seconds to load each batch; the first batch, which loads libraries, is not counted."""
    next(loader)
    seconds = []
    for _ in range(count):
        started = time.process_time()
        next(loader)
        seconds.append(time.process_time() - started)
    return seconds


def measured(count: int) -> list[Row]:
    """Measure all cases of the loading benchmark, with the given number of batches in each round."""
    resnet8, dataset = networks.resnet8(), cifar10.load()
    trainer = Trainer(resnet8, np.asarray(dataset.train_x[:256], dtype=np.uint8))
    with TemporaryDirectory() as directory:
        all_cases = cases(dataset, Path(directory), (count + 2) * BATCH * 10 // 9, resnet8)
        resident = next(batches(all_cases[0], resnet8, 1))
        step_seconds(trainer, resident, 2)  # warm up torch
        loading: list[list[float]] = [[] for _ in all_cases]
        steps: list[float] = []
        for epoch in range(1, ROUNDS + 1):
            for index, case in enumerate(all_cases):
                steps += step_seconds(trainer, resident, 2)
                loading[index] += loader_seconds(batches(case, resnet8, epoch), count)
    step = statistics.median(steps)
    return [
        Row(case.name, case.augmentation, statistics.median(seconds), step)
        for case, seconds in zip(all_cases, loading, strict=True)
    ]


def table(rows: list[Row]) -> str:
    columns = ("samples", "augmentation", "ms a batch", "images per processor second", "share of a step, %")
    lines = [
        (
            row.samples,
            row.augmentation,
            f"{1000 * row.loader_seconds:.1f}",
            f"{BATCH / row.loader_seconds:.0f}",
            f"{row.cost_percent:.1f}",
        )
        for row in rows
    ]
    return markdown(columns, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=16, help="number of batches of each case in a round")
    parser.add_argument("--threads", type=int, default=2, help="number of torch's threads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = measured(arguments.batches)
    if arguments.json:
        print(json.dumps({"batch": BATCH, "rows": [asdict(row) | {"cost_percent": row.cost_percent} for row in rows]}))
        return
    print(f"a training step of {BATCH} images takes {1000 * rows[0].step_seconds:.0f} ms of processor time\n")
    print(table(rows))


if __name__ == "__main__":
    main()
