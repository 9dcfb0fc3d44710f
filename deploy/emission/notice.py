"""Notice at the start of every generated file: where it comes from, and the licence that lets a user ship it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from deploy.emission.text import comment_text, from_template
from deploy.files import DESCRIPTION_FILE, contents
from deploy.integer_network import IntegerNetwork


@dataclass(frozen=True, slots=True)
class Notice:
    """Origin and licence of generated files.

    Attributes:
        text: Lines of a C comment, without its first and last line.
        version: Version of bitbudget.
        digest: SHA-256 of the network's file network.json, which has that of the weights, in hexadecimal.
    """

    text: str
    version: str
    digest: str


def notice_of(network: IntegerNetwork, name: str) -> Notice:
    """Return the notice of the C files of a network.

    Args:
        network: The integer-only network.
        name: The name of the C files.

    Raises:
        ConversionError: if the network is inconsistent, or an accumulator could overflow.
    """
    version, digest = _version(), hashlib.sha256(contents(network)[DESCRIPTION_FILE]).hexdigest()
    text = from_template("notice.txt", name, version=version, network=comment_text(network.name))
    return Notice(text.rstrip("\n"), version, digest)


def _version() -> str:
    """Return the installed version of bitbudget; "unknown" if it runs from a source tree that was never installed."""
    try:
        return installed_version("bitbudget")
    except PackageNotFoundError:
        return "unknown"
