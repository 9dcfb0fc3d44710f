"""Base class of what the service reads from JSON again and again."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Received(BaseModel):
    """JSON that the service reads, with texts that differ each time, such as names of layers.

    By default, pydantic keeps the last 16,384 short texts of all JSON that a process has read: some MB that only grow.
    """

    model_config = ConfigDict(cache_strings="none")
