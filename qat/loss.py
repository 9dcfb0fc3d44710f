"""What training minimises."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812  # torch's own habit
from torch import Tensor


def distilled_loss(logits: Tensor, labels: Tensor, taught: Tensor | None, share: float, temperature: float) -> Tensor:
    """Cross-entropy on the labels, mixed with the divergence from the float network's softened answer.

    Hinton, Vinyals and Dean, arXiv 1503.02531, section 2; the square of the temperature keeps its gradient's size.

    Args:
        logits: [n, classes].
        labels: [n].
        taught: the float network's logits, [n, classes]; None learns from the labels alone.
        share: of the divergence, 0 to 1.
        temperature: divides the logits of both.
    """
    loss = F.cross_entropy(logits, labels)
    if taught is None:
        return loss
    divergence = F.kl_div(
        F.log_softmax(logits / temperature, dim=1),
        F.log_softmax(taught / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - share) * loss + share * temperature**2 * divergence
