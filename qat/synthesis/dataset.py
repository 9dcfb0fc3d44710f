"""Dataset of inputs that are made from a network because there are no samples, with the warnings that belong to it."""

from __future__ import annotations

import time
from typing import Final

from network.errors import RequestError
from network.network import Network
from qat.data.dataset import NoSamples, Samples
from qat.data.unseen import NO_DATA, MadeDataset, UnseenSamples
from qat.progress import Progress, Report
from qat.synthesis.input_values import bounds_of
from qat.synthesis.inputs import make_inputs
from qat.synthesis.statistics import has_statistics

PHASE: Final = "making inputs"

NOT_MEASURED: Final = (
    "NOTHING WAS MEASURED ON REAL DATA: there are no samples. The network was quantized with inputs that were made so "
    "that their statistics are those of its batch norm, and the figures of the epochs are of such inputs. This is the "
    "last resort: a few hundred unlabelled samples give a better network (docs/post-training.md); measure the result "
    "on real data before you ship it"
)
"""First warning of everything that was done without samples."""


def require_statistics(network: Network) -> None:
    """Reject a network without batch norm, from which no inputs can be made.

    Raises:
        RequestError: If no layer of the network has a batch norm.
    """
    if not has_statistics(network):
        raise RequestError(
            f"the dataset is '{NO_DATA}', and the network '{network.name[:80]}' has no batch norm, whose statistics "
            "the inputs are made from: it was trained without, or the exporter has folded it into the weights. Give a "
            "few hundred unlabelled samples, such as an .npz with train_x alone; or give the network with its batch "
            "norm, such as the torch module itself (docs/torch.md)"
        )


def dataset_made_for(network: Network, unseen: UnseenSamples, name: str, seed: int, report: Report) -> MadeDataset:
    """Make inputs for a network, and return them as a dataset without targets and without a test set.

    Args:
        network: The network, with weights and at least one batch norm.
        unseen: What is known of the samples.
        name: Name of the dataset in reports.
        seed: Seed of the inputs; equal seeds give equal inputs on one machine.
        report: Callback that receives the progress, with the warnings.

    Raises:
        RequestError: If the network has no batch norm.
    """
    require_statistics(network)
    notes = (NOT_MEASURED,)
    started = time.monotonic()
    report(Progress(PHASE, warnings=notes))

    def advance(step: int, steps: int, distance: float) -> None:
        left = (time.monotonic() - started) / step * (steps - step)
        report(Progress(PHASE, step=step, steps=steps, seconds_left=left, loss=distance, warnings=notes))

    return made_dataset(network, unseen, name, make_inputs(network, unseen, seed, advance))


def made_dataset(network: Network, unseen: UnseenSamples, name: str, samples: Samples) -> MadeDataset:
    """Return made samples as a dataset, with the warnings that belong to it.

    Args:
        network: The network that the samples are made for.
        unseen: What is known of the samples.
        name: Name of the dataset in reports.
        samples: The samples, [n, *dims].
    """
    notes: tuple[str, ...] = (NOT_MEASURED,)
    if any(bounds_of(network, each, unseen) is None for each in network.inputs):
        notes += (_about_range(samples),)
    return MadeDataset(name, samples, None, NoSamples(samples.dtype, samples.shape[1:]), None, notes=notes)


def _about_range(samples: Samples) -> str:
    return (
        f"the range of the samples is not known: the made ones have values from {samples.min():.4g} to "
        f"{samples.max():.4g}, and what is outside is clipped on the device. State the range: '{NO_DATA}:bytes' for "
        f"samples that are bytes, or '{NO_DATA}:LOW:HIGH' with the smallest and the largest value of a sample"
    )
