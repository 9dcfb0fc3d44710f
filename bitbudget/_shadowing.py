"""Detection of other packages that hide bitbudget's internal packages from Python's import.

The internal packages have common names (`network`, `api`). If a folder that Python searches first has a module of such
a name, Python imports that one instead. Only the standard library is used here.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

INTERNAL_PACKAGES: Final = ("network", "solver", "deploy", "qat", "api")
"""Top-level packages that are installed with `bitbudget`."""

_INSTALLATION: Final = Path(__file__).parent.parent
"""Folder that contains `bitbudget` and the internal packages, both in a wheel and in an editable installation."""


def import_internal_packages() -> None:
    """Import the empty internal packages of bitbudget, so that later changes of `sys.path` cannot hide them.

    Raises:
        ImportError: If Python finds another package or module of one of the names first, or finds none.
    """
    found = {name: _location_of(name) for name in INTERNAL_PACKAGES}
    hiding = {name: path for name, path in found.items() if path is not None and not _is_ours(name, path)}
    if hiding:
        raise ImportError(_clash_text(hiding))
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise ImportError(
            f"bitbudget in '{_INSTALLATION}' is incomplete: Python finds no package named {_listed(missing)}; install "
            "bitbudget again"
        )
    for name in INTERNAL_PACKAGES:
        import_module(name)


def _location_of(name: str) -> Path | None:
    """Return the folder of the package or the file of the module that Python would import by a name; None if none.

    Nothing is executed: another program's module is only located.
    """
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__spec__", None) is None:
        return Path(getattr(loaded, "__file__", None) or name)
    spec = find_spec(name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin or name)


def _is_ours(name: str, path: Path) -> bool:
    """Return whether a path is that of an internal package of bitbudget; symbolic links are followed."""
    return os.path.realpath(path) == os.path.realpath(_INSTALLATION / name)


def _clash_text(hiding: dict[str, Path]) -> str:
    """Return the error message for packages of bitbudget that another package hides.

    Args:
        hiding: Name of each hidden package -> the folder or file that hides it.
    """
    pairs = "; ".join(
        f"'{path.absolute()}' hides its package '{name}' ('{_INSTALLATION / name}')" for name, path in hiding.items()
    )
    things = "them" if len(hiding) > 1 else "it"
    return f"bitbudget cannot be imported: {pairs}. Python searches {_advice(hiding, things)}"


def _advice(hiding: dict[str, Path], things: str) -> str:
    """Return text on why Python finds a hiding package first, and on how the user can change this."""
    folder = os.path.realpath(next(iter(hiding.values())).absolute().parent)
    if folder in {os.path.realpath(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}:
        return (
            f"'{folder}' first, where another distribution has installed {things}: install bitbudget into a virtual "
            "environment without that distribution"
        )
    listed = {os.path.realpath(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each}
    if folder in listed:
        return f"'{folder}' first because PYTHONPATH lists it: rename {things}, or remove the folder from PYTHONPATH"
    if folder == os.path.realpath(sys.path[0] if sys.path else ""):
        return (
            f"the folder of the script, or the current folder, first: run Python from another folder, rename {things}, "
            "or start Python with the option -P, which leaves that folder out"
        )
    return f"'{folder}' first: rename {things}, or remove the folder from sys.path"


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
