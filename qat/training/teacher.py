"""The float network as a teacher: outputs for distillation and as targets, and classes for samples without labels."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from network.layers import Float32Array
from qat.data.dataset import Indices, Labels, SampleSource
from qat.float_network import FloatNetwork
from qat.training.evaluation import evaluation_batches, of_module, output_values, outputs_of, samples_by_batch
from qat.training.reporting import Reporter

MAX_KEPT_OUTPUT_BYTES: Final = 2**28
"""Largest size of the float network's outputs for the training set that are kept in memory; if they are larger, they
are computed again in each epoch."""


class Teacher:
    """Provider of the float network's outputs and predicted classes for the training set.

    Args:
        float_network: The float network.
        source: The training samples.
        processor: The torch device of the float network.
        samples_change: Whether augmentation changes the samples in each epoch, so that outputs cannot be reused.

    Attributes:
        remembers: Whether the outputs of all training samples are computed once and kept in memory.
    """

    def __init__(
        self, float_network: FloatNetwork, source: SampleSource, processor: torch.device, *, samples_change: bool
    ) -> None:
        self._float_network = float_network
        self._network = float_network.network
        self._source = source
        self._processor = processor
        output_bytes = len(source) * output_values(self._network) * 4
        self.remembers = not samples_change and output_bytes <= MAX_KEPT_OUTPUT_BYTES
        self._outputs: Float32Array | None = None

    def remember(self, reporter: Reporter) -> None:
        """Compute the float network's outputs for all training samples and keep them in memory, if they may be kept and
        are not yet.
        """
        if self.remembers and self._outputs is None:
            predict = of_module(self._float_network, self._network, self._processor)
            self._outputs = outputs_of(predict, self._network, self._source, self._begin(reporter), reporter)

    def classes(self, start: int, stop: int, reporter: Reporter) -> Labels:
        """Return the class that the float network predicts for each training sample, int64 [n]: the first one with the
        largest logit.

        Args:
            start: Index of the first logit in a row of all outputs.
            stop: Index behind the last logit.
            reporter: Receiver of the progress.
        """
        self.remember(reporter)
        if self._outputs is not None:
            classes: Labels = self._outputs[:, start:stop].argmax(axis=1)
            return classes
        predict = of_module(self._float_network, self._network, self._processor)
        found = np.empty(len(self._source), dtype=np.int64)
        for indices, samples in samples_by_batch(self._network, self._source, self._begin(reporter), reporter):
            found[indices] = predict(samples)[:, start:stop].argmax(axis=1)
        return found

    def __call__(self, images: Tensor, indices: Indices) -> Tensor:
        """Return all outputs of the float network for a batch of training samples, [n, values].

        Args:
            images: Normalised images, [n, channels, height, width], on the device of the float network.
            indices: Indices of their samples in the training set, int64 [n].
        """
        if self._outputs is not None:
            return torch.from_numpy(self._outputs[indices]).to(self._processor)
        with torch.no_grad():
            taught: Tensor = self._float_network(images)
        return taught

    def _begin(self, reporter: Reporter) -> Indices:
        steps = len(evaluation_batches(self._network, len(self._source)))
        reporter.begin("running the float network on the training set", epoch=None, steps=steps, cost=1.0)
        return np.arange(len(self._source))
