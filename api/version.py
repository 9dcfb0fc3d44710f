"""Which bitbudget this is."""

from __future__ import annotations


def version() -> str:
    """The installed version, or "unknown" when it runs from a source tree that was never installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed_version

    try:
        return installed_version("bitbudget")
    except PackageNotFoundError:
        return "unknown"
