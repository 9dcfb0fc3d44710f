"""Benchmark of the C kernels: executed instructions for each multiply-accumulate operation, and bytes of code.

    python -m benchmarks.kernels [--core cortex-m4] [--optimization O2] [--json] [--write]

Builds the kernels for a core, runs whole layers (driver, widening, dot products, requantization, stores) on its
emulated machine, counts instructions, and compares the codes with those of the portable kernels. `--write` puts the
tables into docs/benchmarks/kernels.md, between the comments that name the core.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.kernel_counts import KernelCount, KernelMeasurement, measure_kernels
from benchmarks.kernel_layers import LAYERS, PEERS
from benchmarks.markdown import markdown
from deploy.building.cores import Core, core_named
from network.kernel_sizes.tables import Optimization

PAGE: Final = Path(__file__).parents[1] / "docs" / "benchmarks" / "kernels.md"

_COLUMNS: Final = ("layer", "shape", "bits x / w / y", "instructions", "goal", "portable C, same core", "others")
GOAL_CORE: Final = "cortex-m4"
"""Core for which the goals are stated."""


def table(measurement: KernelMeasurement, core: Core) -> str:
    """Return the Markdown table of instructions for each multiply-accumulate operation.

    Args:
        measurement: Counts of the layers.
        core: The core.
    """
    return markdown(_COLUMNS, [_line(count, core) for count in measurement.counts])


def sizes(measurement: KernelMeasurement) -> str:
    """Return the Markdown table of the bytes of code of each function."""
    return markdown(
        ("function", "bytes"), [(name, f"{size:,}") for name, size in sorted(measurement.code_bytes.items())]
    )


def with_block(page: str, core: Core, text: str) -> str:
    """Return a page in which the text between the comments of a core is replaced.

    Args:
        page: The page.
        core: The core.
        text: The new text.

    Raises:
        ValueError: if the page has no comments of the core.
    """
    start, end = f"<!-- {core.name} -->\n", f"<!-- end of {core.name} -->"
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no block between {start.strip()!r} and {end!r}; add both comments to the page")
    return pattern.sub(lambda _: f"{start}\n{text}\n\n{end}", page)


def _line(count: KernelCount, core: Core) -> tuple[str, ...]:
    layer = count.layer
    goal = f"{layer.goal:.2f}" if layer.goal is not None and core.name == GOAL_CORE else ""
    is_peers_shape = layer.shape == next(each.shape for each in LAYERS if each.kernel == layer.kernel)
    return (
        layer.kernel.replace("_", " "),
        layer.shape,
        " / ".join(map(str, layer.bits)),
        f"{count.rate:.3f}",
        goal,
        f"{count.portable_rate:.2f}",
        PEERS.get(core.name, {}).get((layer.kernel, layer.bits), "") if is_peers_shape else "",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", default=GOAL_CORE, help="name of the core (default: %(default)s)")
    parser.add_argument(
        "--optimization",
        type=Optimization,
        choices=list(Optimization),
        default=Optimization.SPEED,
        help="optimization of the compiler (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--write", action="store_true", help=f"replace the tables of the core in {PAGE.name}")
    options = parser.parse_args()
    core = core_named(options.core)
    with tempfile.TemporaryDirectory() as directory:
        measurement = measure_kernels(core, LAYERS, Path(directory), options.optimization)
    if options.json:
        rows = [
            {
                "kernel": count.layer.kernel,
                "shape": count.layer.shape,
                "bits": count.layer.bits,
                "operations": count.layer.operations,
                "instructions": count.instructions,
                "portable_instructions": count.portable_instructions,
            }
            for count in measurement.counts
        ]
        print(json.dumps({"core": core.name, "rows": rows, "code_bytes": dict(measurement.code_bytes)}))
        return
    text = f"{table(measurement, core)}\n\n{sizes(measurement)}"
    print(text)
    if options.write:
        PAGE.write_text(with_block(PAGE.read_text(encoding="utf-8"), core, text), encoding="utf-8")


if __name__ == "__main__":
    main()
