"""Training loss: cross-entropy mixed with distillation from the float network."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor

from qat.options.training import TrainingOptions


def training_loss(logits: Tensor, targets: Tensor, taught: Tensor | None, options: TrainingOptions) -> Tensor:
    """Compute the training loss: cross-entropy on the targets, mixed with the divergence from the float network's
    softened predictions.

    Distillation follows Hinton, Vinyals and Dean, arXiv 1503.02531, section 2: multiplication by the square of the
    temperature makes the size of its gradient independent of the temperature. Label smoothing follows arXiv 1512.00567,
    section 7.

    Args:
        logits: Logits of the fake-quantized network, [n, classes].
        targets: Class of each sample, int64 [n], or share of each class, float32 [n, classes].
        taught: Logits of the float network, [n, classes]; None omits distillation.
        options: Training options, which give the share and the temperature of distillation and the label smoothing.

    Returns:
        Mean loss over the samples in nats, a scalar tensor.
    """
    share, temperature = options.distillation, options.distillation_temperature
    logits = logits.float()  # logits may be bfloat16
    loss = F.cross_entropy(logits, targets, label_smoothing=options.label_smoothing)
    if taught is None or share == 0:
        return loss
    divergence = F.kl_div(
        F.log_softmax(logits / temperature, dim=1),
        F.log_softmax(taught.float() / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - share) * loss + share * temperature**2 * divergence
