"""Benchmark of the time of a training step of fake-quantized networks, against float and other libraries.

    python -m benchmarks.qat [--network resnet8|mobilenet_v1] [--rounds N] [--no-compile] [--no-brevitas] [--json]
    python -m benchmarks.qat --table FILE             # show the output of --json as a table, without measuring

A step is forward, loss, backward, Adam, and the corrections after the step. ResNet8 has 128 images of 32x32,
MobileNetV1 0.25/96 has 64 images; weights have 4 bits and activations 8 (the time does not depend on the bits). The
float network is the same network with batch norm on the statistics of the batch. Each round measures all networks one
after the other, so that the load of the machine affects all of them; the results are minimum and median over the
rounds. The compile time is the time of the first step minus that of a later step, with an empty compilation cache. A
GPU is measured, too, if there is one.

Set OMP_WAIT_POLICY=PASSIVE if other processes use the same cores. Brevitas has a row if it is installed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
import numpy as np
import torch

from benchmarks import networks
from benchmarks.brevitas_network import has_brevitas
from benchmarks.markdown import markdown
from benchmarks.run_options import json_option, table_option
from benchmarks.training_steps import FLOAT, Step, steps
from network.network import Network
from qat.data.batches import batches_of
from qat.data.loader import training_batches
from qat.options.augmentation import preset
from qat.training.compiling import has_compiler

BATCHES: Final[Mapping[str, tuple[Callable[[], Network], int]]] = {
    "resnet8": (networks.resnet8, 128),
    "mobilenet_v1": (partial(networks.mobilenet_v1, 0.25, 96, 2, seed=0), 64),
}
"""The networks, and the number of images of a step for each."""

LOADED_BATCHES: Final = 16


@dataclass(frozen=True, slots=True)
class Row:
    """Time of one kind of training step for one network on one processor.

    Attributes:
        network: The name of the network.
        processor: "cpu", or the name of the GPU.
        name: The library that fake-quantizes the network, or "float".
        minimum_seconds: Minimum time of a step over the rounds, in seconds.
        median_seconds: Median time of a step over the rounds, in seconds.
        ratio: Minimum time divided by that of the float network.
        median_ratio: Median time divided by that of the float network.
        compile_seconds: Time of the first step minus that of a later step; None if the step is not compiled.
    """

    network: str
    processor: str
    name: str
    minimum_seconds: float
    median_seconds: float
    ratio: float
    median_ratio: float
    compile_seconds: float | None


@dataclass(frozen=True, slots=True)
class Loading:
    """Speed of loading batches of training images for one network.

    Attributes:
        network: The name of the network that receives the images.
        images_per_second: Shifted and flipped images per second, loaded from memory by the training process.
        float_images_per_second: Images per second of the float network's training step at its minimum time.
    """

    network: str
    images_per_second: float
    float_images_per_second: float


def rows_of(
    network_name: str, processor_name: str, given: Sequence[tuple[str, Step, bool]], rounds: int
) -> list[Row]:  # fmt: skip
    """Measure the time of all training steps of a network, in rounds after a compilation and a warm-up run."""
    first = {}
    for name, step, _ in given:
        sys.stderr.write(f"{network_name} on {processor_name}: the first step of {name}\n")
        first[name] = step()
        step()
    seconds: dict[str, list[float]] = {name: [] for name, _, _ in given}
    for round_number in range(rounds):
        sys.stderr.write(f"{network_name} on {processor_name}: round {round_number + 1} of {rounds}\n")
        for name, step, _ in given:
            seconds[name].append(step())
    least, middle = min(seconds[FLOAT]), statistics.median(seconds[FLOAT])
    return [
        Row(
            network_name,
            processor_name,
            name,
            minimum_seconds=min(seconds[name]),
            median_seconds=statistics.median(seconds[name]),
            ratio=min(seconds[name]) / least,
            median_ratio=statistics.median(seconds[name]) / middle,
            compile_seconds=first[name] - statistics.median(seconds[name]) if is_compiled else None,
        )
        for name, _, is_compiled in given
    ]


def loaded_images_per_second(network: Network, batch: int) -> float:
    """Measure how many shifted and flipped images per second the loader gives without training."""
    generator = np.random.default_rng(0)
    channels, height, width = network.only_input.shape
    count = LOADED_BATCHES * batch
    samples = generator.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    batches = batches_of(np.arange(count), batch, 0, 1)
    loader = training_batches(
        samples, np.zeros(count, dtype=np.int64), network, batches, preset("flip_shift"), seed=0, epoch=1
    )
    next(loader)
    started = time.perf_counter()
    loaded = sum(len(each.images) for each in loader)
    return loaded / (time.perf_counter() - started)


def measured(
    names: Sequence[str],
    batch: int | None,
    processors: Sequence[torch.device],
    rounds: int,
    *,
    compiles: bool,
    with_brevitas: bool,
) -> tuple[list[Row], list[Loading]]:
    """Measure the training steps of every network on every processor; compiled steps need a compiler."""
    rows, loading = [], []
    for name in names:
        make, images = BATCHES[name]
        network, images = make(), batch or images
        for processor in processors:
            can_compile = compiles and has_compiler(processor)
            given = list(steps(network, images, processor, compiles=can_compile, with_brevitas=with_brevitas))
            is_cpu = processor.type == "cpu"
            found = rows_of(name, "cpu" if is_cpu else torch.cuda.get_device_name(), given, rounds)
            rows += found
            if is_cpu:
                speed = images / found[0].minimum_seconds
                loading.append(Loading(name, loaded_images_per_second(network, images), speed))
    return rows, loading


def table_of(result: Mapping[str, Any]) -> str:
    """Return a Markdown table with one line for each training step, and one line on the speed of the loader."""
    columns = (
        "network",
        "processor",
        "training step",
        "least, ms",
        "median, ms",
        "over float",
        "by medians",
        "compiling, s",
    )
    lines = [
        (
            row["network"],
            row["processor"],
            row["name"],
            f"{1000 * row['minimum_seconds']:.1f}",
            f"{1000 * row['median_seconds']:.1f}",
            f"{row['ratio']:.2f}",
            f"{row['median_ratio']:.2f}",
            "" if row["compile_seconds"] is None else f"{row['compile_seconds']:.0f}",
        )
        for row in result["rows"]
    ]
    loading = [
        f"{each['network']}: the loader gives {each['images_per_second']:,.0f} images a second, "
        f"the float network's step takes {each['float_images_per_second']:,.0f}"
        for each in result["loading"]
    ]
    summary = f"torch {result['torch']}, {result['threads']} threads, {result['rounds']} rounds"
    return "\n\n".join([summary, markdown(columns, lines), *loading])


@click.command()
@click.option("--network", "names", type=click.Choice(list(BATCHES)), multiple=True, help="All unless given.")
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Of torch.")
@click.option("--batch", type=click.IntRange(2), help="Number of images of a step (for a quick trial).")
@click.option("--no-compile", is_flag=True, help="Do not measure the compiled steps.")
@click.option("--no-brevitas", is_flag=True, help="Leave Brevitas out.")
@click.option("--no-gpu", is_flag=True, help="Measure only on the CPU.")
@click.option("--no-cpu", is_flag=True, help="Measure only on the GPU.")
@json_option
@table_option(table_of)
def main(
    *,
    names: Sequence[str],
    rounds: int,
    threads: int,
    batch: int | None,
    no_compile: bool,
    no_brevitas: bool,
    no_gpu: bool,
    no_cpu: bool,
    as_json: bool,
) -> None:
    """Measure the time of training steps of fake-quantized networks."""
    torch.set_num_threads(threads)
    names = names or list(BATCHES)
    if "resnet8" in names and not networks.RESNET8_FILE.exists():
        raise click.ClickException(f"needs {networks.RESNET8_FILE.name} in ../shared/models, or another --network")
    processors = [] if no_cpu else [torch.device("cpu")]
    if torch.cuda.is_available() and not no_gpu:
        processors.append(torch.device("cuda"))
    if not processors:
        raise click.ClickException("no GPU was found, so that nothing is left to measure; leave --no-cpu out")
    with TemporaryDirectory() as directory:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = directory  # an empty cache, so that an earlier compilation is not used
        rows, loading = measured(
            names, batch, processors, rounds, compiles=not no_compile, with_brevitas=has_brevitas() and not no_brevitas
        )
    result = {
        "torch": torch.__version__,
        "threads": threads,
        "rounds": rounds,
        "rows": [asdict(row) for row in rows],
        "loading": [asdict(each) for each in loading],
    }
    click.echo(json.dumps(result) if as_json else table_of(result))


if __name__ == "__main__":
    main()
