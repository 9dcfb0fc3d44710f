"""Write the tables of code and stack of the generated C's functions, for every core and optimization.

    python -m benchmarks.kernel_sizes [CORE ...]

It compiles the kernels (deploy/kernels) with the locked toolchain and writes network/kernel_sizes/CORE.json. Byte
accounting reads these tables. Run it again whenever a kernel changes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Final

from deploy.building.cores import CORES, Core
from deploy.building.kernel_sizes import measure_functions
from deploy.building.toolchains import LOCKED_VERSION, toolchain_for
from network.kernel_sizes.tables import Optimization

FOLDER: Final = Path(__file__).parents[1] / "network" / "kernel_sizes"


def table_of(core: Core) -> str:
    """Return the table of a core as JSON text.

    Args:
        core: The core.

    Raises:
        BuildError: if the compiler is missing, or if the kernels do not compile.
    """
    toolchain = toolchain_for(core)
    if not toolchain.is_locked:
        sys.exit(
            f"{core.compiler} has the version {toolchain.version}; expected {LOCKED_VERSION}, the locked toolchain"
        )
    functions = {
        optimization: {name: asdict(size) for name, size in measure_functions(toolchain, optimization).items()}
        for optimization in Optimization
    }
    # One line for each function, so that changes are easy to read.
    levels = ",\n".join(
        f' "{optimization}": {{\n'
        + ",\n".join(f'  "{name}": {json.dumps(size)}' for name, size in sizes.items())
        + "\n }"
        for optimization, sizes in functions.items()
    )
    head = {
        "core": core.name,
        "compiler": f"{core.compiler} {toolchain.version}",
        "flags": " ".join(toolchain.flags(Optimization.SPEED)),
    }
    lines = "".join(f"{json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    return f'{{{lines}"functions": {{\n{levels}\n}}}}\n'


def main() -> None:
    """Write the tables of the cores that the command line names, or of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cores", nargs="*", metavar="CORE", help=f"one of {', '.join(CORES)}; all if none is given")
    chosen = parser.parse_args().cores or list(CORES)
    for name in chosen:
        if name not in CORES:
            parser.error(f"unknown core {name[:40]!r}; expected one of {', '.join(CORES)}")
        (FOLDER / f"{name}.json").write_text(table_of(CORES[name]), encoding="utf-8")
        print(f"{name}: written")


if __name__ == "__main__":
    main()
