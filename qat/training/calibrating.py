"""Calibration and post-training quantization at the start of a training run."""

from __future__ import annotations

from qat.calibration import calibrate
from qat.data.batches import Split
from qat.data.dataset import SampleSource
from qat.float_network import FloatNetwork
from qat.options.chosen import ChosenOptions
from qat.post_training.improve import improve
from qat.quantized_network import QuantizedNetwork
from qat.training.reporting import Reporter
from qat.training.run_cost import CALIBRATION_COST


def calibrate_before(
    module: QuantizedNetwork,
    float_network: FloatNetwork,
    samples: SampleSource,
    split: Split,
    options: ChosenOptions,
    reporter: Reporter,
) -> None:
    """Calibrate the activation ranges, and apply post-training quantization if it is chosen, before any training.

    Args:
        module: The fake-quantized network, which is changed.
        float_network: The float network.
        samples: The training set.
        split: Split of the training set.
        options: Training options of the run.
        reporter: Receiver of the progress.
    """
    reporter.begin("calibrating", epoch=0, steps=1, cost=CALIBRATION_COST)
    chosen = samples[split.training[: min(options.calibration_samples, len(split.training))]]
    calibrate(module, chosen, float_network)
    reporter.advance(len(chosen))
    if options.post_training.improves:
        unlabelled = samples[split.training[: options.post_training.samples]]
        improve(module, float_network, unlabelled, options.post_training, reporter)
