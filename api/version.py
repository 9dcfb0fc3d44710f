"""Version of the installed bitbudget."""

from __future__ import annotations


def version() -> str:
    """Return the installed version of bitbudget; "unknown" if it runs from a source tree that was never installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed_version

    try:
        return installed_version("bitbudget")
    except PackageNotFoundError:
        return "unknown"
