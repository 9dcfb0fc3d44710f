"""Entry point for `python -m bitbudget`, which runs the command line."""

from __future__ import annotations

from api.cli.main import main

main()
