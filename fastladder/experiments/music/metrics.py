"""How well pieces are predicted: negative log-likelihoods of time steps, averaged in three ways."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from fastladder.data import RollBatch

LABELS = {
    "nll": "negative log-likelihood of a step (nats)",
    "nll_without_first": "  without the first step of a piece",
    "nll_of_pieces": "  as the mean over pieces of their means",
}


class Average(NamedTuple):
    """A mean, and of how many; by that it weighs among those of other batches."""

    mean: Tensor  # ()
    weight: int


def step_nll(logits: Tensor, batch: RollBatch) -> Tensor:
    """The negative log-likelihood of every step, (N, T) in nats, the sum over independent keys, and 0 at the padding.

    Args:
        logits: (N, T, 88).
        batch: the steps that were to be predicted.
    """
    nll = functional.binary_cross_entropy_with_logits(logits.float(), batch.rolls, reduction="none").sum(2)
    return nll.where(batch.mask, 0.0)


def averages(nll: Tensor, batch: RollBatch) -> dict[str, Average]:
    """The scores of a batch of whole pieces.

    "nll" is pooled over all steps of all pieces, so that long pieces weigh more, as on the page of the collections'
    authors. Some publications leave out the first step, which nothing is known of, or average over pieces.

    Args:
        nll: (N, T), 0 at the padding.
        batch: the pieces.
    """
    pieces, steps = len(batch.lengths), int(batch.lengths.sum())
    scores = {"nll": Average(nll.sum() / steps, steps)}
    if steps > pieces:
        scores["nll_without_first"] = Average(nll[:, 1:].sum() / (steps - pieces), steps - pieces)
    scores["nll_of_pieces"] = Average(torch.mean(nll.sum(1) / batch.lengths), pieces)
    return scores
