"""Pieces of music in batches, whole or cut into chunks, for what predicts each time step from those before."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from fastladder.data.piano_rolls import KEYS, PianoRolls


class RollBatch(NamedTuple):
    """N chunks of pieces, padded with silence to the longest, of T steps.

    Attributes:
        before: (N, T, 88) float32, the step before each: what the prediction of the first may know. It is silence where
            a piece begins.
        rolls: (N, T, 88) float32, the steps to predict.
        lengths: (N,) int64, the steps of each chunk.
        begins: (N,) bool, whether a chunk is the beginning of its piece.
    """

    before: Tensor
    rolls: Tensor
    lengths: Tensor
    begins: Tensor

    @property
    def mask(self) -> Tensor:
        """(N, T) bool, False at the padding."""
        return torch.arange(self.rolls.shape[1], device=self.lengths.device) < self.lengths[:, None]


class RollChunks(Dataset[RollBatch]):
    """The chunks of all pieces, in their order; `dataset[indices]` is a batch, for a DataLoader without a batch size.

    Args:
        pieces: to be cut.
        steps: of a chunk at most; None: pieces stay whole.

    Raises:
        ValueError: `steps` is below 1.
    """

    def __init__(self, pieces: PianoRolls, steps: int | None = None) -> None:
        if steps is not None and steps < 1:
            raise ValueError(f"steps: got {steps}, needs 1 or more")
        self.pieces = pieces
        self.chunks = [
            (number, start, min(start + (steps or len(roll)), len(roll)))
            for number, roll in enumerate(pieces.rolls)
            for start in range(0, len(roll), steps or len(roll))
        ]
        self.lengths = torch.tensor([end - start for _, start, end in self.chunks])

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, indices: Sequence[int] | Tensor) -> RollBatch:
        """The chunks of these numbers as one batch."""
        chosen = [self.chunks[int(index)] for index in indices]
        lengths = self.lengths[torch.as_tensor(indices)]
        rolls = torch.zeros(len(chosen), int(lengths.max()), KEYS)
        before = torch.zeros_like(rolls)
        for row, (number, start, end) in enumerate(chosen):
            piece = self.pieces.rolls[number]
            rolls[row, : end - start] = piece[start:end]
            first = 0 if start else 1  # a piece begins after silence, which is there already
            before[row, first : end - start] = piece[start - 1 + first : end - 1]
        return RollBatch(before, rolls, lengths, torch.tensor([start == 0 for _, start, _ in chosen]))

    def batches(self, size: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """All chunks once, in batches of near lengths, so that little is padding.

        Args:
            size: of a batch; the last may be smaller.
            generator: that shuffles chunks of near lengths, and the batches; None: from the shortest to the longest.

        Returns:
            the numbers of the chunks of each batch, (N,).
        """
        if generator is None:
            return list(self.lengths.argsort(stable=True).split(size))
        # Lengths are near within a tenth of a piece of 100 steps.
        blurred = self.lengths * (1 + 0.1 * torch.rand(len(self), generator=generator))
        batches = blurred.argsort().split(size)
        return [batches[int(position)] for position in torch.randperm(len(batches), generator=generator)]
