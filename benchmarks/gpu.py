"""Benchmark of thirty epochs on a GPU: the trainings of `benchmarks.accuracy` with the bits of `exact`, in bfloat16.

    python -m benchmarks.gpu [--epochs N] [--at-once N] [--keep FILE] [--json]
    python -m benchmarks.gpu --table FILE             # show the output of --json as a table, without training

ResNet8 and MobileNetV2 (CIFAR-10, the whole training set) are trained at 50, 40 and 30 % (`paper`) in bfloat16 and
compiled; ResNet8 also in float32, for comparison. Each training is a process of `benchmarks.accuracy` with one thread;
several run at the same time, so that their minutes are longer than those of a training alone. Every epoch evaluates the
held-out images on the GPU; the interpreter evaluates the test images on the CPU. MobileNetV2 does not fit at 30 %, so
that it has no training there. `--keep` records each training, so that an interrupted benchmark can be continued. The
data is in `../shared`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import torch

from benchmarks.markdown import markdown
from benchmarks.run_options import json_option, keep_option, table_option
from qat.options.names import Compile, Precision

EPOCHS: Final = 30


@dataclass(frozen=True, slots=True)
class Run:
    """One training of the benchmark.

    Attributes:
        network: The name of the task of `benchmarks.accuracy`.
        share: The name of the budget.
        precision: Number format in which convolutions are computed.
        compile: Whether the training step is compiled.
    """

    network: str
    share: str
    precision: Precision
    compile: Compile


RUNS: Final = (
    *(
        Run(network, share, Precision.BFLOAT16, Compile.ON)
        for network, share in (
            ("mobilenetv2", "50 %"),
            ("resnet8", "50 %"),
            ("resnet8", "30 %"),
            ("mobilenetv2", "40 %"),
            ("resnet8", "40 %"),
        )
    ),
    Run("resnet8", "50 %", Precision.FLOAT32, Compile.ON),
    Run("resnet8", "30 %", Precision.FLOAT32, Compile.OFF),
)
"""The trainings, in the order in which they start."""


def row_of(run: Run, epochs: int, keep: Path | None) -> dict[str, Any]:
    """Train one network in a process of its own, and return its JSON row.

    Raises:
        ClickException: if the process fails.
    """
    command = [sys.executable, "-m", "benchmarks.accuracy", "--network", run.network, "--only", run.share]
    command += ["--methods", "exact", "--seeds", "1", "--epochs", f"{epochs}", "--threads", "1", "--json"]
    command += ["--precision", run.precision, "--compile", run.compile]
    if keep is not None:
        command += ["--keep", f"{keep}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise click.ClickException(f"the training of {run.network} at {run.share} failed: see above")
    result = json.loads(done.stdout)
    (row,) = result["rows"]
    if row["shortage"]:
        raise click.ClickException(f"{run.network} does not fit at {run.share}: {row['shortage']}")
    shown = {
        "network": run.network,
        "share": run.share,
        "precision": run.precision,
        "is_compiled": run.compile is Compile.ON,
        "float_percent": result["float_percent"],
        "untrained_percent": row["untrained_percent"],
        "percent": row["trained_percent"][0],
        "seconds": row["seconds"][-1],
    }
    sys.stderr.write(f"{run.network} at {run.share}, {run.precision}: {shown['percent']:.2f} %\n")
    return shown


def table_of(result: Mapping[str, Any]) -> str:
    """Return a Markdown table with one line for each training."""
    columns = ("network", "budget", "precision", "compiled", "float, %", "integer-only, %", "difference", "minutes")
    lines = [
        (
            row["network"],
            row["share"],
            row["precision"],
            "yes" if row["is_compiled"] else "no",
            f"{row['float_percent']:.2f}",
            f"{row['percent']:.2f}",
            f"{row['percent'] - row['float_percent']:+.2f}",
            f"{row['seconds'] / 60:.1f}",
        )
        for row in result["rows"]
    ]
    summary = f"{result['gpu']}, torch {result['torch']}: {result['epochs']} epochs, {result['at_once']} at a time"
    return f"{summary}\n\n{markdown(columns, lines)}"


@click.command()
@click.option("--epochs", type=click.IntRange(1), default=EPOCHS, show_default=True)
@click.option("--at-once", type=click.IntRange(1), default=len(RUNS), show_default=True, help="Trainings at a time.")
@keep_option
@json_option
@table_option(table_of)
def main(*, epochs: int, at_once: int, keep: Path | None, as_json: bool) -> None:
    """Train with bfloat16, compiled, for thirty epochs on a GPU."""
    if not torch.cuda.is_available():
        raise click.ClickException("torch finds no GPU; expected a GPU and a torch build with CUDA")
    with ThreadPoolExecutor(at_once) as pool:
        rows = list(pool.map(partial(row_of, epochs=epochs, keep=keep), RUNS))
    result = {
        "gpu": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "epochs": epochs,
        "at_once": at_once,
        "rows": rows,
    }
    click.echo(json.dumps(result) if as_json else table_of(result))


if __name__ == "__main__":
    main()
