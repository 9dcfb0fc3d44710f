"""The page about adding an operator names things that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from network.layers import Layer
from network.onnx_reading.call import Call
from network.onnx_reading.translation import Translation

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-an-operator.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:network|tests)/[\w/]+\.py)`", PAGE))))
def test_modules_exist(path: str) -> None:
    assert (ROOT / path).is_file()


def test_methods_exist() -> None:
    for name in re.findall(r"call\.(\w+)\(", PAGE):
        assert hasattr(Call, name)
    for name in re.findall(r"call\.translation\.(\w+)\(", PAGE):
        assert hasattr(Translation, name)
    assert hasattr(Layer, "output_shape")
