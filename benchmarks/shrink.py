"""Benchmark of `shrink`: the least flash that keeps a limit of quality, against the best of five hand-picked budgets.

    python -m benchmarks.shrink [--network resnet8|dscnn] [--max-loss 0.5] [--epochs N] [--keep DIR] [--json]

The hand-picked budgets are 80, 65, 50, 40 and 30 % of the flash that the network needs with 8 bits everywhere. The
exact program chooses the bits for each of them, and the network is quantized or trained like the points of the search.
Both are compared on the same held-out samples of the training set. The best hand-picked budget is the smallest that
keeps the limit. The test set decides nothing.

Set OMP_WAIT_POLICY=PASSIVE if other processes use the same cores. The data is in `../shared`. With --keep, an
interrupted benchmark continues.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from api.operations.fit import describe_fit
from api.operations.question import terms_of
from api.operations.shrink.job import ShrinkJob, run_shrink_job
from api.operations.shrink.limits import keeps_limit
from api.operations.shrink.points import held_out_quality_of
from api.operations.trained_network import train_solution
from api.schemas.answer import NetworkName
from api.schemas.reports import TrainingReport
from api.schemas.shrink import ShrinkReport, ShrinkRequest, ShrinkTrainingOptions
from api.storage.result_files import SENSITIVITY_FILE
from benchmarks.markdown import markdown
from benchmarks.run_options import json_option, table_option, task_there
from benchmarks.shares import uniform
from benchmarks.tasks import NAMES, Task
from deploy.result_folder import REPORT_FILE
from network.allocation import DEFAULT_WEIGHT_SCHEME
from network.budget import MAX_BUDGET_BYTES, Budget
from network.memory.books import BookName
from network.memory.measure import measure
from network.sensitivity.table import sensitivity_from_json
from qat.progress import Progress
from solver.fit import fit

HAND_PICKED: Final = (0.8, 0.65, 0.5, 0.4, 0.3)
"""Hand-picked flash budgets as shares of the flash that the network needs with 8 bits for every tensor."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run of the benchmark.

    Attributes:
        task: The network and its data.
        request: The limit of quality, and how many budgets the front has.
        options: How each point is quantized or trained.
        work: Directory of finished points.
    """

    task: Task
    request: ShrinkRequest
    options: ShrinkTrainingOptions
    work: Path

    def searched(self) -> ShrinkReport:
        """Run the search."""
        job = ShrinkJob(
            network=self.task.network,
            network_name=self._name,
            request=self.request,
            dataset=self.task.dataset,
            options=self.options,
        )
        report, _ = run_shrink_job(job, self.work / "search", report=_Line(), checkpoint_directory=self.work / "kept")
        return report

    def hand_picked(self, share: float, float_quality: float) -> dict[str, Any]:
        """Return the bytes and the quality of one hand-picked budget.

        Args:
            share: The flash budget, as a share of what the network needs with 8 bits for every tensor.
            float_quality: Quality of the float network on the held-out samples.
        """
        terms, network = terms_of(self.request), self.task.network
        widest = uniform(network, 8, 8, terms.accounting, DEFAULT_WEIGHT_SCHEME)
        whole_bytes = measure(network, widest, terms.accounting).flash_bytes
        (table_file,) = (self.work / "kept").glob(f"*/{SENSITIVITY_FILE}")
        question = replace(
            terms.question(network, sensitivity_from_json(table_file.read_text(encoding="utf-8"))),
            budget=Budget(int(share * whole_bytes), MAX_BUDGET_BYTES),
        )
        solution = fit(question)
        row: dict[str, Any] = {"share": share, "budget_bytes": question.budget.flash_bytes}
        if solution.allocation is None:
            return row | {"fits": False}
        folder, started = self.work / "hand" / f"{100 * share:g}", time.monotonic()
        if (folder / REPORT_FILE).is_file():
            report = TrainingReport.model_validate_json((folder / REPORT_FILE).read_bytes())
        else:
            folder.parent.mkdir(parents=True, exist_ok=True)
            answer = describe_fit(self._name, question, solution)
            report, _ = train_solution(
                self.task.dataset, self.options.plain, solution, answer, folder,
                question=question, report=_Line(), checkpoint_directory=None,
            )  # fmt: skip
        quality = held_out_quality_of(report)
        return row | {
            "fits": True,
            "flash_bytes": solution.memory.flash_bytes,
            "loss": float_quality - quality,
            "keeps_limit": keeps_limit(self.request, quality, float_quality),
            "test": None if report.quality is None else report.quality.integer_only,
            "seconds": time.monotonic() - started,
        }

    @property
    def _name(self) -> NetworkName:
        return NetworkName(id="", name=self.task.name)


class _Line:
    """Callback that prints progress on standard error: one line for every point and every fifteen seconds."""

    def __init__(self) -> None:
        self._point: int | None = None
        self._printed_at = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if progress.point == self._point and time.monotonic() - self._printed_at < 15:
            return
        self._point, self._printed_at = progress.point, time.monotonic()
        where = "" if progress.point is None else f"point {progress.point} of about {progress.points}: "
        left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
        print(f"{where}{progress.phase} {progress.step or 0}/{progress.steps or 0}{left}", file=sys.stderr, flush=True)


def shown(measured: Mapping[str, Any]) -> str:
    """Return the output of the benchmark as Markdown tables."""
    rows = []
    for index, point in enumerate(measured["points"]):
        note = "**the least found**" if index == measured["chosen"] else "yes" if point["keeps_limit"] else "no"
        rows.append(_cells(f"{index + 1}", point["flash_bytes"], point["loss"], point["test"], note))
    best = _best(measured["hand_picked"])
    for row in measured["hand_picked"]:
        if not row["fits"]:
            rows.append([f"{100 * row['share']:g} %", "nothing fits", "", "", ""])
            continue
        note = "**the best**" if row is best else "yes" if row["keeps_limit"] else "no"
        rows.append(_cells(f"{100 * row['share']:g} %", row["flash_bytes"], row["loss"], row["test"], note))
    columns = ["point, or share of 8 bits", "flash, bytes", "loss, points", "test set, %", "keeps the limit"]
    head = (
        f"{measured['network']}: at most {measured['max_loss']:g} points, {measured['epochs']} epochs, "
        f"{measured['held_out_samples']:,} held-out samples, float {measured['float_quality']:.2f} %, "
        f"`{measured['accounting']}` accounting; {measured['seconds']:,.0f} s for the search"
    )
    return "\n\n".join([head, markdown(columns, rows), _comparison(measured, best)])


def _cells(name: str, flash_bytes: float, loss: float, test: float | None, note: str) -> list[str]:
    return [name, f"{flash_bytes:,.0f}", f"{loss:.2f}", "" if test is None else f"{test:.2f}", note]


def _best(hand_picked: list[dict[str, Any]]) -> dict[str, Any] | None:
    kept = [row for row in hand_picked if row["fits"] and row["keeps_limit"]]
    return min(kept, key=lambda row: float(row["flash_bytes"]), default=None)


def _comparison(measured: Mapping[str, Any], best: Mapping[str, Any] | None) -> str:
    if measured["chosen"] is None:
        return "No judged point keeps the limit."
    least = measured["points"][measured["chosen"]]["flash_bytes"]
    if best is None:
        return f"The search finds {least:,.0f} bytes; no hand-picked budget keeps the limit."
    saved = best["flash_bytes"] - least
    words = (
        f"{saved:,.0f} bytes less than" if saved > 0 else f"{-saved:,.0f} bytes more than" if saved else "as many as"
    )
    return (
        f"The search finds {least:,.0f} bytes, {words} the best hand-picked budget, {best['flash_bytes']:,.0f} bytes."
    )


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@click.command()
@click.option("--network", "name", type=click.Choice(NAMES), default=NAMES[0], show_default=True)
@click.option("--max-loss", type=float, default=0.5, show_default=True, help="Largest allowed loss, in points.")
@click.option("--epochs", type=click.IntRange(0), default=0, show_default=True, help="Number of epochs of each point.")
@click.option("--points", type=click.IntRange(2, 1000), default=64, show_default=True, help="Budgets of the front.")
@click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Number of torch's threads.")
@click.option("--accounting", type=click.Choice([*BookName]), default=BookName.PAPER, show_default=True)
@click.option("--rounding-steps", type=click.IntRange(1), help="Steps of learned rounding (for a trial).")
@click.option("--test-images", type=click.IntRange(1), help="Use only the first images of the test set, this number.")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep finished points in this directory."
)
@click.option("--curve", type=click.Path(path_type=Path, dir_okay=False), help="Copy the picture to this file.")
@json_option
@table_option(shown)
def main(
    name: str,
    max_loss: float,
    epochs: int,
    points: int,
    threads: int,
    accounting: BookName,
    rounding_steps: int | None,
    test_images: int | None,
    keep: Path | None,
    curve: Path | None,
    as_json: bool,
) -> None:
    """Find the least flash that keeps a limit of quality, and compare it with hand-picked budgets."""
    task = task_there(name).shortened(None, test_images)
    chosen: dict[str, Any] = {"epochs": epochs, "threads": threads}
    if epochs:
        chosen |= {"batch_size": task.options.batch_size, "augmentation": task.options.augmentation}
    elif rounding_steps is not None:
        chosen["post_training"] = {"rounding_steps": rounding_steps}
    options = ShrinkTrainingOptions.model_validate(chosen)
    request = ShrinkRequest(max_loss=max_loss, points=points, accounting=accounting)
    with _directory(keep) as work:
        case = Case(task, request, options, work)
        report = case.searched()
        if curve is not None:
            shutil.copyfile(work / "search" / "curve.svg", curve)
        assert report.float_quality is not None  # noqa: S101  # both tasks are classes with labels
        measured = {
            "network": name,
            "max_loss": max_loss,
            "epochs": epochs,
            "accounting": accounting,
            "held_out_samples": report.held_out_samples,
            "float_quality": report.float_quality,
            "seconds": report.seconds,
            "chosen": report.chosen,
            "sentences": report.sentences,
            "points": [
                {
                    "flash_bytes": each.flash_bytes,
                    "ram_bytes": each.ram_bytes,
                    "loss": each.loss,
                    "keeps_limit": each.keeps_limit,
                    "test": None if each.test is None else each.test.integer_only,
                    "seconds": each.seconds,
                }
                for each in report.points
            ],
            "hand_picked": [case.hand_picked(share, report.float_quality) for share in HAND_PICKED],
        }
    click.echo(json.dumps(measured) if as_json else shown(measured))


if __name__ == "__main__":
    main()
