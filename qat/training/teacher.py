"""The float network as a teacher: its answers for distillation, and its classes where samples have no labels."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from network.layers import Float32Array
from qat.data.dataset import Indices, Labels, SampleSource
from qat.float_network import FloatNetwork
from qat.training.evaluation import classes_of, evaluation_batches, logits_of, of_module
from qat.training.reporting import Reporter

MOST_REMEMBERED_BYTES: Final = 2**28
"""Of the float network's answers for the training set; more are computed anew in every epoch."""


class Teacher:
    """Knows the float network's answers for the training set.

    Args:
        float_network: on its processor.
        source: the training samples.
        processor: where the float network is.
        samples_change: every epoch sees other versions of the samples, so that nothing is worth remembering.
    """

    def __init__(
        self, float_network: FloatNetwork, source: SampleSource, processor: torch.device, *, samples_change: bool
    ) -> None:
        self._float_network = float_network
        self._network = float_network.network
        self._source = source
        self._processor = processor
        answer_bytes = len(source) * self._network.shapes[self._network.outputs[0]].elements * 4
        self.remembers = not samples_change and answer_bytes <= MOST_REMEMBERED_BYTES
        self._logits: Float32Array | None = None

    def remember(self, reporter: Reporter) -> None:
        """Ask for every sample, once."""
        if self.remembers and self._logits is None:
            answer = of_module(self._float_network, self._network, self._processor)
            self._logits = logits_of(answer, self._network, self._source, self._begin(reporter), reporter)

    def classes(self, reporter: Reporter) -> Labels:
        """The float network's class of every sample."""
        self.remember(reporter)
        if self._logits is not None:
            classes: Labels = self._logits.argmax(axis=1)
            return classes
        answer = of_module(self._float_network, self._network, self._processor)
        return classes_of(answer, self._network, self._source, self._begin(reporter), reporter)

    def __call__(self, images: Tensor, indices: Indices) -> Tensor:
        """The logits for a batch, [n, classes].

        Args:
            images: [n, c, h, w], on the processor.
            indices: of the samples that they come from.
        """
        if self._logits is not None:
            return torch.from_numpy(self._logits[indices]).to(self._processor)
        with torch.no_grad():
            taught: Tensor = self._float_network(images)
        return taught

    def _begin(self, reporter: Reporter) -> Indices:
        steps = len(evaluation_batches(self._network, len(self._source)))
        reporter.begin("measuring the float network", epoch=None, steps=steps, cost=1.0)
        return np.arange(len(self._source))
