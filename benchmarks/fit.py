"""Benchmark of the time that `bitbudget fit` takes: warm in one process, as a cold process, and over HTTP.

    python -m benchmarks.fit [--runs N] [--against DIRECTORY] [--json]

The network is MobileNetV1 1.0/224 with weights, 17 MB as ONNX. The cold process is compared with an interpreter that
imports numpy and onnx and ends: the minimum time of any Python program that reads ONNX. `--against` names a checkout of
another version, e.g. a worktree of an earlier commit: its service is measured in the same run, request by request in
turn, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx

from network.budget import Budget
from network.memory.paper import PaperAccounting
from network.network import Network
from solver.fit import fit
from solver.options import Method, SolveOptions
from solver.question import Question
from tests.builders import mobilenet_v1
from tests.onnx_files import to_onnx

HERE: Final = Path(__file__).resolve().parents[1]
BUDGET: Final = Budget(flash_bytes=2_048_000, ram_bytes=512_000)
COMMANDS: Final = ("api.cli.main", "api.command")
"""Modules of the command: today's, and that of versions before November 2026."""


def median_seconds(run: Callable[[], object], runs: int) -> float:
    """Measure the median wall time of a function in seconds, after one call that is not counted.

    Args:
        run: The function.
        runs: Number of counted calls.
    """
    run()
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def process(*arguments: str) -> Callable[[], object]:
    """Return a function that runs Python with the given arguments as a process and waits for its end."""
    return lambda: subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def service(checkout: Path, data: Path) -> Iterator[httpx.Client]:
    """Run the service of a checkout of bitbudget, and yield an HTTP client for it.

    Args:
        checkout: Root of the checkout.
        data: Directory for the service's data; created if it is missing.
    """
    module = next(name for name in COMMANDS if (checkout / f"{name.replace('.', '/')}.py").is_file())
    child = subprocess.Popen(
        [sys.executable, "-m", module, "serve", "--port", "0", "--data", str(data)],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert child.stdout is not None  # noqa: S101  # it is a pipe
        url = re.search(r"http://\S+", child.stdout.readline())
        if url is None:
            raise RuntimeError(f"the service of {checkout} did not start")
        with httpx.Client(base_url=url[0], timeout=120) as client:
            yield client
    finally:
        child.terminate()
        child.wait()


def fit_over_http(client: httpx.Client, network_id: str, method: str) -> dict[str, Any]:
    """Choose the bits of an uploaded network under a memory budget by one HTTP request."""
    request = {"flash": str(BUDGET.flash_bytes), "ram": str(BUDGET.ram_bytes), "method": method}
    response = client.post(f"/v1/networks/{network_id}/fit", json=request).raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def http_seconds(clients: dict[str, httpx.Client], content: bytes, method: str, runs: int) -> dict[str, float]:
    """Measure the median time in seconds of a fit over HTTP by each of several services, which take turns.

    Raises:
        RuntimeError: If the services do not choose the same bits.
    """
    ids = {
        name: client.post("/v1/networks", content=content).raise_for_status().json()["id"]
        for name, client in clients.items()
    }
    bits = [fit_over_http(client, ids[name], method)["weight_bits"] for name, client in clients.items()]
    if any(each != bits[0] for each in bits):
        raise RuntimeError(f"the services choose different bits by {method}")
    seconds: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(runs):
        for name, client in clients.items():
            started = time.perf_counter()
            fit_over_http(client, ids[name], method)
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(each) for name, each in seconds.items()}


def measured(runs: int, against: Path | None) -> dict[str, float]:
    """Measure the times of fits in one process, as a cold process and over HTTP, in seconds unless named otherwise.

    Args:
        runs: Number of counted runs of each process and request.
        against: Root of a checkout of another version; None measures this version alone.
    """
    network = mobilenet_v1(seed=0)
    content = to_onnx(network)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "mobilenet_v1.onnx"
        path.write_bytes(content)
        budget = ("--flash", str(BUDGET.flash_bytes), "--ram", str(BUDGET.ram_bytes))
        cold = median_seconds(process("-m", COMMANDS[0], "fit", str(path), *budget, "--method", "mixpc"), runs)
        bound = median_seconds(process("-c", "import numpy, onnx"), runs)
        figures = {
            "warm_fit_milliseconds": 1000 * median_seconds(lambda: fit(_by_rule(network)), 10 * runs),
            "cold_process_seconds": cold,
            "imports_alone_seconds": bound,
            "cold_over_imports": cold / bound,
        }
        with contextlib.ExitStack() as stack:
            checkouts = {"now": HERE, **({} if against is None else {"before": against.resolve()})}
            clients = {
                name: stack.enter_context(service(checkout, Path(directory) / name))
                for name, checkout in checkouts.items()
            }
            for method in ("mixpc", "exact"):
                seconds = http_seconds(clients, content, method, runs)
                figures |= {f"http_{method}_{name}_seconds": each for name, each in seconds.items()}
                if against is not None:
                    figures[f"http_{method}_now_over_before"] = seconds["now"] / seconds["before"]
    return figures


def _by_rule(network: Network) -> Question:
    options = SolveOptions(method=Method.MIXPC)
    return Question(network=network, budget=BUDGET, accounting=PaperAccounting(), options=options)


def main() -> None:
    """Print the measured times of fits as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each process and request (default: 5)")
    parser.add_argument("--against", type=Path, metavar="DIRECTORY", help="checkout of another version to compare with")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    figures = measured(options.runs, options.against)
    if options.json:
        print(json.dumps(figures))
        return
    print("MobileNetV1 1.0/224, 2,048,000 bytes of flash, 512,000 bytes of RAM; medians")
    print(f"  rules and validation, warm, MixPC    {figures['warm_fit_milliseconds']:8.2f} ms")
    print(f"  bitbudget fit, cold process, MixPC   {figures['cold_process_seconds']:8.2f} s")
    print(f"  importing numpy and onnx alone       {figures['imports_alone_seconds']:8.2f} s")
    print(f"  ratio                                {figures['cold_over_imports']:8.2f}")
    for method in ("mixpc", "exact"):
        print(f"  warm fit over HTTP, {method:6}           {figures[f'http_{method}_now_seconds']:8.3f} s")
        if options.against is not None:
            print(f"    in {options.against!s:33} {figures[f'http_{method}_before_seconds']:8.3f} s")
            print(f"    ratio                              {figures[f'http_{method}_now_over_before']:8.2f}")


if __name__ == "__main__":
    main()
