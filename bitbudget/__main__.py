"""The command `bitbudget`, started as `python -m bitbudget`."""

from __future__ import annotations

from api.cli.main import main

main()
