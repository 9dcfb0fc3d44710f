"""Results of tiny networks for comparisons: answers of real fits, with changes that a pull request could make."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

from api.operations.fit import answer_fit
from api.schemas.answer import NetworkName
from api.schemas.fit import FitRequest
from network.layers import Convolution
from network.network import Network
from network.sensitivity.from_weights import weight_sensitivity
from tests.api.small_files import tiny_network

Json = dict[str, Any]


def fitted(network: Network, **budget: str) -> Json:
    """Return the JSON of the answer of a real fit of a network under a budget."""
    request = FitRequest.model_validate(budget)
    answer = answer_fit(network, NetworkName(id="0" * 64, name=network.name), request, weight_sensitivity(network))
    document: Json = json.loads(answer.model_dump_json())
    return document


def grown(network: Network) -> Network:
    """Return the tiny network with one more convolution, named `added`, between its two layers."""
    first, last = network.layers
    assert isinstance(first, Convolution)
    assert first.weight is not None
    weight = first.weight.repeat(8, axis=1)
    added = replace(first, name="added", inputs=("first",), output="added", weight=weight)
    return replace(network, layers=(first, added, replace(last, inputs=("added",))))


def tiny_fit(**budget: str) -> Json:
    """Return the answer of a fit of the tiny network, by default under a budget that suffices for 8 bits."""
    return fitted(tiny_network(), **({"flash": "20kB", "ram": "4kB"} | budget))


def training_report(document: Json, figure: float, metric: str = "accuracy", **more: Any) -> Json:
    """Return the report of a training with the bits and bytes of a fit, and with a quality."""
    report = copy.deepcopy(document)
    direction = "lower_is_better" if metric == "rmse" else "higher_is_better"
    quality = {
        "metric": metric, "unit": "percent", "direction": direction, "output": "scores", "against": "labels",
        "float": figure, "fake_quantized": figure, "integer_only": figure,
    }  # fmt: skip
    return report | {"kind": "training", "quality": quality} | more


def renamed(document: Json, names: dict[str, str]) -> Json:
    """Return a document in which texts are replaced everywhere, also as names of members."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {names.get(key, key): changed(each) for key, each in value.items()}
        if isinstance(value, list):
            return [changed(each) for each in value]
        return names.get(value, value) if isinstance(value, str) else value

    result: Json = changed(document)
    return result
