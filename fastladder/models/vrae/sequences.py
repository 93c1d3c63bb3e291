"""Padded batches of sequences: checks, and which of their steps are real."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastladder.nn.checks import check_sequence
from fastladder.nn.packing import check_lengths

Lengths = Tensor | Sequence[int] | None


class Sequences:
    """A padded batch x (T, N, F), checked.

    Args:
        name: of the argument, for messages.
        x: (T, N, F).
        lengths: (N,), from 1 to T; None: T for all.
        features: F.
        module: whose `weight` has the dtype and device that x needs.

    Attributes:
        x: with zeros as padding, whatever was there, so that no NaN comes from it.
        lengths: as integers; None where all are T.
        steps: the number of real steps, over all samples.
    """

    def __init__(self, name: str, x: Any, lengths: Lengths, features: int, module: Any) -> None:
        check_sequence(name, x, features, module)
        duration, batch = x.shape[:2]
        self.x = x
        self.lengths: list[int] | None = None
        self.steps = duration * batch
        if lengths is not None and batch > 0:
            self.lengths = check_lengths(lengths, batch, duration)
            self.steps = sum(self.lengths)
            own = torch.tensor(self.lengths, device=x.device)
            self.padding = torch.arange(duration, device=x.device)[:, None] >= own
            self.x = self.without_padding(x)

    def without_padding(self, values: Tensor) -> Tensor:
        """Values (T, N) or (T, N, *) with zeros beyond the last step of each sample."""
        if self.lengths is None:
            return values
        return values.masked_fill(self.padding.view(*self.padding.shape, *[1] * (values.dim() - 2)), 0)
