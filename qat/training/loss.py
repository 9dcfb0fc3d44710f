"""What training minimises."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor

from qat.options.training import TrainingOptions


def training_loss(logits: Tensor, targets: Tensor, taught: Tensor | None, options: TrainingOptions) -> Tensor:
    """Cross-entropy on the targets, mixed with the divergence from the float network's softened answer.

    Distillation: Hinton, Vinyals and Dean, arXiv 1503.02531, section 2; the square of the temperature keeps its
    gradient's size. Label smoothing: arXiv 1512.00567, section 7.

    Args:
        logits: [n, classes].
        targets: int64 [n], classes; or float32 [n, classes], the share of each.
        taught: the float network's logits, [n, classes]; None learns from the targets alone.
        options: the shares of both, the temperature, the smoothing.
    """
    share, temperature = options.distillation, options.distillation_temperature
    logits = logits.float()  # they may come as bfloat16
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
