"""Options of the commands that train, `train` and `shrink`; other commands do not import the schemas of jobs."""

from __future__ import annotations

from pathlib import Path

import click

from api.schemas.jobs import DIGITS
from qat.data.unseen import NO_DATA

training_data_option = click.option(
    "--data",
    required=True,
    metavar="PATH",
    help=f"Image folders, .npz, .parquet, .tar shards, CIFAR or MNIST files (docs/datasets.md); or '{DIGITS}'; or "
    f"'{NO_DATA}', which trains nothing: no samples, the last resort (docs/post-training.md).",
)
results_option = click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Directory for the results; earlier results in the directory are replaced.",
)
training_file_option = click.option(
    "--training-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="JSON file with training options, as in 'training' of a job request; other options override it.",
)
