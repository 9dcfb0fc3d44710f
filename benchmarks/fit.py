"""Time to choose bits: the rules in a warm process, and `bitbudget fit` as a whole cold process.

    python -m benchmarks.fit [--runs N] [--json]

The network is MobileNetV1 1.0/224 with weights, an ONNX file of 17 MB. The cold process is compared with an interpreter
that only imports numpy and onnx: the minimum time of any Python program that reads ONNX.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from network.budget import Budget
from network.memory.paper import PaperAccounting
from solver.fit import fit
from solver.solution import Method
from tests.builders import mobilenet_v1
from tests.onnx_files import to_onnx

BUDGET = Budget(flash_bytes=2_048_000, ram_bytes=512_000)


def median_seconds(run: Callable[[], object], runs: int) -> float:
    """Return the median wall time of `run` in seconds, after one call that is not counted."""
    run()
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def process(*arguments: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def measured(runs: int) -> dict[str, float]:
    network = mobilenet_v1(seed=0)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "mobilenet_v1.onnx"
        path.write_bytes(to_onnx(network))
        budget = ("--flash", str(BUDGET.flash_bytes), "--ram", str(BUDGET.ram_bytes))
        cold = median_seconds(process("-m", "api.cli.main", "fit", str(path), *budget, "--method", "mixpc"), runs)
        bound = median_seconds(process("-c", "import numpy, onnx"), runs)
    warm = median_seconds(lambda: fit(network, BUDGET, Method.MIXPC, PaperAccounting()), 10 * runs)
    return {
        "warm_fit_milliseconds": 1000 * warm,
        "cold_process_seconds": cold,
        "imports_alone_seconds": bound,
        "cold_over_imports": cold / bound,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="number of counted runs of each process (default: 5)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    figures = measured(options.runs)
    if options.json:
        print(json.dumps(figures))
        return
    print("MobileNetV1 1.0/224, 2,048,000 bytes of flash, 512,000 bytes of RAM, MixPC; medians")
    print(f"  rules and validation, warm        {figures['warm_fit_milliseconds']:8.2f} ms")
    print(f"  bitbudget fit, whole cold process {figures['cold_process_seconds']:8.2f} s")
    print(f"  importing numpy and onnx alone    {figures['imports_alone_seconds']:8.2f} s")
    print(f"  ratio                             {figures['cold_over_imports']:8.2f}")


if __name__ == "__main__":
    main()
