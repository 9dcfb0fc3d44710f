"""Emission of integer-only networks as C99 files that a firmware engineer adds to a project."""

from deploy.emission.emitter import emit

__all__ = ["emit"]
