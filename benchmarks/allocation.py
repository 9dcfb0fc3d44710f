"""Benchmark that compares the paper's rules with the exact integer program on real networks and budgets.

    python -m benchmarks.allocation [--json | --compare] [--only PATTERN]... [--time-limit SECONDS]

The benchmark runs each network (`networks.py`) under each budget, counted by each rule book. MixPL is compared with the
exact program with weights per layer, MixPC with the exact program with weights per channel: the bytes and the
sensitivity (`weights`) are the same. A pair of answers is wrong if

1. the validator finds a violation in either answer,
2. the answer of the rule has the smaller summed sensitivity, or only the rule finds an answer,
3. the exact program reports that nothing fits, but the bytes in its certificate do not exceed the budget.

The exit code is 1 if any pair is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final

from benchmarks import allocation_tables, networks
from benchmarks.answers import Pair, Row, is_less
from benchmarks.own_output import own_output
from network.allocation import BITS, WeightScheme
from network.budget import Budget
from network.memory.accounting import Accounting
from network.memory.books import ACCOUNTINGS
from network.network import Network
from network.sensitivity.from_weights import weight_sensitivity
from network.sensitivity.table import SensitivityTable
from solver.fit import fit
from solver.options import DEFAULT_TIME_LIMIT_SECONDS, Method, SolveOptions
from solver.question import Question
from solver.validator import violations

BUDGETS: Final = (
    Budget(2_000_000, 512_000),
    Budget(1_000_000, 512_000),
    Budget(1_000_000, 256_000),
    Budget(512_000, 128_000),
)

TIGHT_BUDGETS: Final = {
    "mobilenet_v2_0.35_96": (Budget(640_000, 160_000),),
    "unet_16_96": (Budget(256_000, 256_000), Budget(200_000, 180_000)),
    "resnet8_cifar10": (Budget(60_000, 40_000), Budget(40_000, 24_000)),
}
"""Additional, smaller budgets for the networks that the budgets above leave at or near 8 bits."""

SCHEMES: Final = {
    Method.MIXPL: WeightScheme.PER_LAYER_ASYM_PACT,
    Method.MIXPC: WeightScheme.PER_CHANNELS_ASYM_MIN_MAX,
}
"""Each rule, and the weight scheme of the exact program that is compared with it."""


def answered(
    network: Network,
    budget: Budget,
    method: Method,
    scheme: WeightScheme,
    accounting: Accounting,
    sensitivity: SensitivityTable,
    time_limit_seconds: float,
) -> Row:
    """Solve one question by one method; return the answer with its time and the constraints that it violates."""
    question = Question(
        network=network,
        budget=budget,
        accounting=accounting,
        sensitivity=sensitivity,
        options=SolveOptions(method=method, scheme=scheme, time_limit_seconds=time_limit_seconds),
    )
    started = time.perf_counter()
    solution = fit(question)
    seconds = time.perf_counter() - started
    allocation, certificate = solution.allocation, solution.certificate
    return Row(
        network=network.name,
        accounting=accounting.name,
        flash_budget_bytes=budget.flash_bytes,
        ram_budget_bytes=budget.ram_bytes,
        method=method,
        scheme=scheme,
        fits=allocation is not None,
        flash_bytes=None if allocation is None else solution.memory.flash_bytes,
        ram_bytes=None if allocation is None else solution.memory.ram_bytes,
        objective=solution.objective,
        bound=solution.bound,
        gap=solution.gap,
        weight_tensors=None if allocation is None else _counted(allocation.weight_bits.values()),
        activation_tensors=None if allocation is None else _counted(allocation.activation_bits.values()),
        violations=tuple(violations(question, solution)),
        short=None if certificate is None else certificate.budget,
        least_bytes=None if certificate is None else certificate.least_bytes,
        seconds=seconds,
    )


def pairs_of(network: Network, budgets: Iterable[Budget], time_limit_seconds: float) -> Iterator[Pair]:
    """Return the answers of the paper's rules and of the exact program to all questions about a network."""
    for rule, scheme in SCHEMES.items():
        sensitivity = weight_sensitivity(network, scheme)
        for accounting in ACCOUNTINGS.values():
            for budget in budgets:
                by_rule, exactly = (
                    answered(network, budget, method, scheme, accounting, sensitivity, time_limit_seconds)
                    for method in (rule, Method.EXACT)
                )
                yield Pair(by_rule, exactly)


def summary(pairs: list[Pair], faults: list[str]) -> str:
    """Return one line of text that compares the exact program's results with those of the paper's rules."""
    better = sum(is_less(pair.exact.objective, pair.rule.objective) for pair in pairs)
    alone = sum(pair.exact.fits and not pair.rule.fits for pair in pairs)
    neither = sum(not (pair.exact.fits or pair.rule.fits) for pair in pairs)
    gap = max((pair.exact.gap for pair in pairs if pair.exact.gap is not None), default=0.0)
    judged = f"{len(faults)} FAULTS" if faults else "exact never worse"
    return (
        f"{len(pairs)} rows, {judged}: better in {better}, alone in finding an answer in {alone}, as good in "
        f"{len(pairs) - better - alone - neither}, nothing fits in {neither}; largest gap {gap:.1e}"
    )


def _counted(bits: Iterable[int]) -> tuple[int, ...]:
    counts = Counter(bits)
    return tuple(counts[each] for each in BITS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--compare", action="store_true", help="print only the summed sensitivities of all methods")
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="pattern of network names, e.g. 'mobilenet_v1_0.25_*'; may be repeated",
    )
    parser.add_argument(
        "--time-limit", type=float, default=DEFAULT_TIME_LIMIT_SECONDS, metavar="SECONDS",
        help="time limit of one answer of the exact program (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args()
    patterns = options.only or ["*"]
    builders = {
        name: build
        for name, build in networks.catalogue().items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    if not builders:
        parser.error(f"no network is named {' or '.join(patterns)}; expected one of: {', '.join(networks.catalogue())}")
    skipped = {}
    if "resnet8_cifar10" in builders and not networks.RESNET8_FILE.is_file():
        del builders["resnet8_cifar10"]
        skipped["resnet8_cifar10"] = f"{networks.RESNET8_FILE.name} is missing in ../shared/models"
    pairs: list[Pair] = []
    for name, build in builders.items():
        sys.stderr.write(f"{name}\n")
        with own_output():
            pairs += pairs_of(build(), (*BUDGETS, *TIGHT_BUDGETS.get(name, ())), options.time_limit)
    faults = [fault for pair in pairs for fault in pair.faults()]
    line = summary(pairs, faults)
    if options.json:
        rows = [row.as_json() for pair in pairs for row in (pair.rule, pair.exact)]
        print(json.dumps({"summary": line, "faults": faults, "skipped": skipped, "rows": rows}))
    else:
        print(allocation_tables.comparison(pairs) if options.compare else allocation_tables.answers(pairs))
        print(f"\n{line}")
    sys.stderr.writelines(f"skipped {name}: {reason}\n" for name, reason in skipped.items())
    sys.stderr.writelines(f"FAULT {fault}\n" for fault in faults)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
