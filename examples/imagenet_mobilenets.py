"""Reproduce an ImageNet result of the paper arXiv 1905.13082 with a trained MobileNetV1.

    python -m examples.imagenet_mobilenets NETWORK --data IMAGENET --method mixpc --out DIR

NETWORK is a trained MobileNetV1 of any of the 16 widths and resolutions, as an ONNX file (or as a JSON description with
weights). IMAGENET is a directory with train/CLASS/*.JPEG and val/CLASS/*.JPEG. The network is changed to the form that
the paper trained: 1,000 classes without TensorFlow's background class, pixels from -1 to 1. Then `bitbudget train` runs
with the paper's budget, scheme, byte accounting and learning rates. All other options are passed on to it, for example
`--epochs 1 --workers 8`.

docs/from-the-published-code.md lists the commands for all 16 networks and the expected results.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from api.cli.files import read_network_file
from api.cli.main import run
from network.errors import BitbudgetError, InvalidNetwork
from network.json_reading.description import write_json
from network.layers import Convolution, FullyConnected, Layer
from network.network import Network

CLASSES = 1000
PAPERS_FLASH_BYTES, PAPERS_RAM_BYTES = 2_048_000, 512_000
"""`--mem_constraint [2048000,512000]` of the published code: the STM32H7's 2 MB and 512 kB."""

PAPERS_TRAINING = {
    "--epochs": "10",
    "--batch-size": "128",
    "--regime": "paper",
    "--batch-fold-delay": "1",
    "--activation-range": "learned",
    "--distillation": "0",
    "--augmentation": "flip_shift",
}


def as_the_paper_trained_it(network: Network) -> Network:
    """Return a MobileNetV1 with 1,000 classes, and with the input normalisation that the paper used.

    Raises:
        InvalidNetwork: if it has another number of classes, or does not end in a layer with weights.
    """
    form = network.only_input.format
    if form.is_normalised_already:
        # The file expects pixels from -1 to 1 from the caller. With 128 instead of 127.5, which is half a step of the
        # 8-bit input away, zero is exactly a code, and each byte is its own code.
        form = replace(form, subtract=(128.0,), multiply=(1 / 127.5,))
    *others, last = network.layers
    given = replace(network.only_input, format=form)
    return replace(network, inputs=(given,), layers=(*others, _of_all_classes(last)))


def _of_all_classes(last: Layer) -> Layer:
    if not isinstance(last, FullyConnected | Convolution) or last.weight is None:
        raise InvalidNetwork(
            f"the network ends in layer '{last.name}' ({last.kind}); "
            "expected a layer with weights that computes the classes"
        )
    surplus = last.output_channels - CLASSES
    if surplus not in (0, 1):
        raise InvalidNetwork(
            f"the network has {last.output_channels} classes; expected 1,000, or 1,001 with a background class"
        )
    bias = None if last.bias is None else last.bias[surplus:]
    return replace(last, output_channels=CLASSES, weight=last.weight[surplus:], bias=bias)


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Repeat one of the paper's ImageNet results.")
    parser.add_argument("network", metavar="NETWORK", help="a trained MobileNetV1")
    parser.add_argument("--data", required=True, help="ImageNet's directory")
    parser.add_argument("--method", default="mixpc", choices=("mixpl", "mixpc"), help="the paper's rule")
    parser.add_argument("--out", required=True, help="the directory for the integer-only network and its report")
    arguments, of_train = parser.parse_known_args(given)
    try:
        network, name = read_network_file(arguments.network)
        prepared = as_the_paper_trained_it(network)
    except BitbudgetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    command = ["--data", arguments.data, "--out", arguments.out, "--method", arguments.method, "--accounting", "paper"]
    command += ["--flash", str(PAPERS_FLASH_BYTES), "--ram", str(PAPERS_RAM_BYTES)]
    for option, value in PAPERS_TRAINING.items():
        command += [option, value]
    with tempfile.TemporaryDirectory(prefix="bitbudget-") as directory:
        file = Path(directory) / f"{name.name}.json"
        file.write_text(write_json(prepared, with_weights=True))
        return run(["train", str(file), *command, *of_train])


if __name__ == "__main__":
    sys.exit(main())
