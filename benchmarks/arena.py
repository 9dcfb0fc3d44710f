"""Benchmark of the memory planner for the RAM arena on hard instances and real networks, against simpler planners.

    python -m benchmarks.arena [--json] [--highs SECONDS]
    python -m benchmarks.arena --write

The instances are in `benchmarks/instances`, with one tensor in each line: id, lower (the first step), upper (the first
step after the last one), size. This is the format of minimalloc's files. `--write` generates them again from their
seeds:

    random     as many steps as tensors; sizes from 1 to 1000, lengths up to 10, 30 or 80 % of the steps
    cut        a full rectangle of height 1000, cut into pieces: a plan without gaps exists, so that each gap is a loss

Real networks have 8 bits everywhere, with the scratch buffers that the `deployed` accounting counts. `by size` is the
greedy planner of TensorFlow Lite Micro: the largest tensor first, each at the lowest free offset. `HiGHS` solves an
integer program with an indicator variable for each pair of tensors that are alive together, for instances of up to 50
tensors, with the given number of seconds for each.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from benchmarks.networks import catalogue
from network.arena.plan import LiveTensor, plan_arena, scratch_name
from network.memory.deployed import DeployedAccounting
from network.network import Network

INSTANCES: Final = Path(__file__).parent / "instances"

COUNTS: Final = (20, 50, 100, 200)
LENGTHS: Final = (0.1, 0.3, 0.8)
SEEDS: Final = (11, 12)
CUT_SEEDS: Final = (11, 12, 13, 14)
RUNS: Final = 3
MAX_PEER_TENSORS: Final = 50

NETWORKS: Final = (
    "mobilenet_v1_1.0_224",
    "mobilenet_v2_1.0_224",
    "mobilenet_v2_0.35_96",
    "unet_16_96",
    "resnet8_cifar10",
)


@dataclass(frozen=True, slots=True)
class Row:
    """Results of all memory planners for one instance.

    Attributes:
        group: The group of the instance.
        name: The name of the instance.
        tensors: Number of tensors.
        arena_bytes: The size of the planner's arena in bytes.
        bound_bytes: The lower bound that the planner proves, in bytes.
        milliseconds: The median time of the planner's runs in milliseconds.
        by_size_bytes: The size of the greedy planner's arena in bytes.
        peer_bytes: The size of HiGHS's arena in bytes; None if HiGHS did not run or found no plan.
        peer_bound_bytes: The lower bound that HiGHS proves, in bytes.
        peer_milliseconds: The time of the one run of HiGHS in milliseconds.
    """

    group: str
    name: str
    tensors: int
    arena_bytes: int
    bound_bytes: int
    milliseconds: float
    by_size_bytes: int
    peer_bytes: int | None = None
    peer_bound_bytes: int | None = None
    peer_milliseconds: float | None = None


def random_tensors(count: int, longest: float, seed: int) -> list[LiveTensor]:
    """Generate random tensors for a memory planner, each alive for up to the given share of all steps."""
    rng = np.random.default_rng(seed)
    tensors = []
    for index in range(count):
        start = int(rng.integers(count))
        end = min(count, start + 1 + int(rng.integers(max(1, int(longest * count)))))
        tensors.append(LiveTensor(str(index), start, end, int(rng.integers(1, 1001))))
    return tensors


def cut_tensors(count: int, seed: int, height: int = 1000) -> list[LiveTensor]:
    """Cut a rectangle (steps x bytes) into tensors that a memory plan can pack without gaps."""
    rng = np.random.default_rng(seed)
    pieces = [(0, count, height)]
    while len(pieces) < count:
        areas = [(end - start) * size * rng.uniform(0.3, 1.3) for start, end, size in pieces]
        start, end, size = pieces.pop(int(np.argmax(areas)))
        if size == 1 or (end - start > 1 and rng.random() < 0.5):
            middle = int(rng.integers(start + 1, end))
            pieces += [(start, middle, size), (middle, end, size)]
        else:
            part = int(rng.integers(1, size))
            pieces += [(start, end, part), (start, end, size - part)]
    order = rng.permutation(count)
    return [LiveTensor(str(index), *pieces[piece]) for index, piece in enumerate(order)]


def generated() -> Iterator[tuple[str, list[LiveTensor]]]:
    """Generate all instances for memory planners that are stored as files, by name."""
    for count in COUNTS:
        for longest in LENGTHS:
            for seed in SEEDS:
                yield f"random-{count}-{longest:.0%}-{seed}".replace("%", ""), random_tensors(count, longest, seed)
        for seed in CUT_SEEDS:
            yield f"cut-{count}-{seed}", cut_tensors(count, seed)


def write(folder: Path = INSTANCES) -> None:
    """Generate the instance files of the memory-planner benchmark and write them."""
    folder.mkdir(exist_ok=True)
    for name, tensors in generated():
        lines = [f"{each.name},{each.start},{each.end},{each.size_bytes}" for each in tensors]
        (folder / f"{name}.csv").write_text("\n".join(["id,lower,upper,size", *lines, ""]))


def read(file: Path) -> list[LiveTensor]:
    """Read the tensors of an instance file of the memory-planner benchmark."""
    with file.open(newline="") as lines:
        return [
            LiveTensor(line["id"], int(line["lower"]), int(line["upper"]), int(line["size"]))
            for line in csv.DictReader(lines)
        ]


def tensors_of(network: Network) -> list[LiveTensor]:
    """Return the live ranges of a network's tensors and scratch buffers, all at 8 bits."""
    accounting = DeployedAccounting()
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for index, step in enumerate(accounting.steps(network)):
        taken = {each.tensor: int(accounting.activation_bytes(each, 8)) for each in step.live}
        if step.scratch_bytes:
            taken[scratch_name(step.layer)] = step.scratch_bytes
        sizes |= taken
        for name in taken:
            first.setdefault(name, index)
            last[name] = index
    return [LiveTensor(name, first[name], last[name] + 1, size) for name, size in sizes.items()]


def by_size(tensors: list[LiveTensor]) -> int:
    """Return the arena size in bytes that the greedy memory planner of TensorFlow Lite Micro reaches."""
    placed: list[tuple[int, int, LiveTensor]] = []
    for each in sorted(tensors, key=lambda each: (-each.size_bytes, each.start)):
        offset = 0
        for low, high, _ in sorted((row for row in placed if row[2].overlaps(each)), key=lambda row: row[:2]):
            if offset + each.size_bytes <= low:
                break
            offset = max(offset, high)
        placed.append((offset, offset + each.size_bytes, each))
    return max(high for _, high, _ in placed)


def by_integer_program(tensors: list[LiveTensor], limit_seconds: float) -> tuple[int | None, int]:
    """Plan memory by the integer-program solver HiGHS; return the arena size or None, and a lower bound, in bytes."""
    pairs = [pair for pair in combinations(range(len(tensors)), 2) if tensors[pair[0]].overlaps(tensors[pair[1]])]
    most = by_size(tensors)
    count = len(tensors)
    rows = np.zeros((2 * len(pairs) + count, count + len(pairs) + 1))
    limits = np.zeros(len(rows))
    for number, (one, other) in enumerate(pairs):
        rows[2 * number, [one, other, count + number]] = 1, -1, most
        limits[2 * number] = most - tensors[one].size_bytes
        rows[2 * number + 1, [other, one, count + number]] = 1, -1, -most
        limits[2 * number + 1] = -tensors[other].size_bytes
    for index, each in enumerate(tensors, start=2 * len(pairs)):
        rows[index, [index - 2 * len(pairs), -1]] = 1, -1
        limits[index] = -each.size_bytes
    alive = [sum(each.size_bytes for each in tensors if each.start <= at.start < each.end) for at in tensors]
    columns = count + len(pairs) + 1
    result = milp(
        np.eye(columns)[-1],
        constraints=LinearConstraint(rows, -np.inf, limits),
        integrality=np.ones(columns),
        bounds=Bounds([0] * (columns - 1) + [max(alive)], [most] * count + [1] * len(pairs) + [most]),
        options={"time_limit": limit_seconds},
    )
    bound = max(alive) if result.mip_dual_bound is None else int(np.ceil(result.mip_dual_bound - 1e-6))
    return (None if result.x is None else round(result.x[-1])), bound


def measured(peer_limit_seconds: float | None) -> list[Row]:
    """Run the memory planners on every instance, then on every network, and yield the results."""
    instances = [(file.stem.rpartition("-")[0], file.stem, read(file)) for file in sorted(INSTANCES.glob("*.csv"))]
    instances.sort(key=lambda each: (not each[0].startswith("random"), len(each[2]), each[1]))
    instances += [(name, name, tensors_of(catalogue()[name]())) for name in NETWORKS]
    return [_row(group, name, tensors, peer_limit_seconds) for group, name, tensors in instances]


def _row(group: str, name: str, tensors: list[LiveTensor], peer_limit_seconds: float | None) -> Row:
    milliseconds = statistics.median(_milliseconds(lambda: plan_arena(tensors)) for _ in range(RUNS))
    plan = plan_arena(tensors)
    row = Row(group, name, len(tensors), plan.arena_bytes, plan.lower_bound_bytes, milliseconds, by_size(tensors))
    if peer_limit_seconds is None or len(tensors) > MAX_PEER_TENSORS:
        return row
    started = time.perf_counter()
    peer_bytes, peer_bound_bytes = by_integer_program(tensors, peer_limit_seconds)
    taken = 1000 * (time.perf_counter() - started)
    return replace(row, peer_bytes=peer_bytes, peer_bound_bytes=peer_bound_bytes, peer_milliseconds=taken)


def _milliseconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - started)


def table(rows: list[Row]) -> str:
    """Return a Markdown table of the memory planners' results with one line for each group of instances."""
    lines = [
        ["instances", "tensors", "proven", "largest gap", "ms, median", "ms, most", "by size: at the bound",
         "by size: largest gap", "HiGHS: proven", "HiGHS: ms, median"],
    ]  # fmt: skip
    lines.append(["---"] * len(lines[0]))
    for group in dict.fromkeys(row.group for row in rows):
        own = [row for row in rows if row.group == group]
        taken = [row.peer_milliseconds for row in own if row.peer_milliseconds is not None]
        peer_proven = sum(row.peer_bytes is not None and row.peer_bytes == row.peer_bound_bytes for row in own)
        lines.append(
            [
                group,
                f"{own[0].tensors}",
                f"{sum(row.arena_bytes == row.bound_bytes for row in own)} of {len(own)}",
                f"{max(row.arena_bytes / row.bound_bytes - 1 for row in own):.1%}",
                f"{statistics.median(row.milliseconds for row in own):.1f}",
                f"{max(row.milliseconds for row in own):.1f}",
                f"{sum(row.by_size_bytes == row.bound_bytes for row in own)} of {len(own)}",
                f"{max(row.by_size_bytes / row.bound_bytes - 1 for row in own):.1%}",
                f"{peer_proven} of {len(own)}" if taken else "",
                f"{statistics.median(taken):,.0f}" if taken else "",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--highs", type=float, metavar="SECONDS", help="also run HiGHS with this time limit for each instance"
    )
    parser.add_argument("--write", action="store_true", help="generate the files of the instances again and stop")
    options = parser.parse_args()
    if options.write:
        write()
        return
    rows = measured(options.highs)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "highs_limit_seconds": options.highs}))
        return
    print(table(rows))
    proven = sum(row.arena_bytes == row.bound_bytes for row in rows)
    print(f"\nproven: {proven} of {len(rows)}")
    for row in rows:
        if row.arena_bytes != row.bound_bytes:
            print(f"not proven: {row.name}, {row.arena_bytes:,} bytes, bound {row.bound_bytes:,}")


if __name__ == "__main__":
    main()
