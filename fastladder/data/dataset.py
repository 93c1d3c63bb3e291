"""Occluded moving digits as a dataset: one sequence for every digit."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fastladder.data.digits import Digits
from fastladder.data.moving import PAPER, MovingDigits, occlude, optimal_reconstruction, render, trajectories

UNLABELLED = -100
"""The label of a digit whose class is not to be known, which `torch.nn.functional.cross_entropy` passes over."""


class MovingDigitSequence(NamedTuple):
    """One sequence, or with a leading batch axis several. T frames of size H = W.

    Attributes:
        observed: (T, 1, H, W) float32, behind the occluders: the input, and one frame on the target of a prediction.
        clean: (T, 1, H, W) float32, the same without occluders, which no model is shown.
        label: () int64, the digit, or `UNLABELLED`.
        position: (T, 2) int64, row and column of the digit's upper left corner.
    """

    observed: Tensor
    clean: Tensor
    label: Tensor
    position: Tensor


class OccludedMovingDigits(Dataset[MovingDigitSequence]):
    """One occluded moving sequence for every digit; item i shows digit i.

    Where digits move is drawn once from the seed and is the same on every device. Frames are drawn when they are asked
    for, a whole batch at once, so 50,000 sequences take the memory of 50,000 digits. Works with
    `torch.utils.data.DataLoader` as it stands, and `dataset[indices]` is a batch without one.

    Args:
        digits: the images, of height and width `config.digit_size`.
        config: how they move and what hides them.
        seed: 0 or more.
        labelled: (M,) bool, the digits whose label is known; missing means all.
        device: where the frames are made. Other than "cpu" only with a DataLoader that has no workers.
    """

    def __init__(
        self,
        digits: Digits,
        config: MovingDigits = PAPER,
        *,
        seed: int = 0,
        labelled: Tensor | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        size = config.digit_size
        if digits.images.shape[1:] != (size, size):
            shape = tuple(digits.images.shape)
            raise ValueError(f"digits: got images of shape {shape}, needs (M, {size}, {size}) by config.digit_size")
        if seed < 0:
            raise ValueError(f"seed: got {seed}, needs 0 or more")
        if labelled is not None and (labelled.shape != digits.labels.shape or labelled.dtype != torch.bool):
            shape = tuple(labelled.shape)
            raise ValueError(f"labelled: got {labelled.dtype} of shape {shape}, needs bool, one for each digit")
        self.digits = digits
        self.config = config
        self.seed = seed
        self.images = digits.images.to(device)
        self.labels = digits.labels.to(device)
        if labelled is not None:
            self.labels = self.labels.where(labelled.to(device), UNLABELLED)
        self.resample(0)

    def resample(self, epoch: int) -> None:
        """Draws new trajectories for all digits. They depend on seed and epoch alone, so a resumed run sees the same.

        A new dataset is at epoch 0. Workers of a DataLoader that outlive an epoch (persistent_workers) do not see it.
        """
        # SeedSequence mixes the two numbers, so that (0, 1) and (1, 0) differ and near seeds are unrelated.
        (mixed,) = np.random.SeedSequence((self.seed, epoch)).generate_state(1)
        generator = torch.Generator().manual_seed(int(mixed))
        self.positions = trajectories(len(self.images), self.config, generator).to(self.images.device)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | Sequence[int] | slice | Tensor) -> MovingDigitSequence:
        """The sequence of one digit, or of several as one batch."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index: got {index}, needs {-len(self)} to {len(self) - 1}")
            return MovingDigitSequence(*(field[0] for field in self[[index]]))
        positions = self.positions[index]
        clean = render(self.images[index], positions, self.config)
        return MovingDigitSequence(occlude(clean, self.config), clean, self.labels[index], positions)

    def __getitems__(self, indices: list[int]) -> list[MovingDigitSequence]:
        """What a DataLoader asks for: the frames are made in one go, then handed over one by one."""
        return [MovingDigitSequence(*fields) for fields in zip(*self[indices], strict=True)]

    def fingerprint(self) -> str:
        """The sha256 of digits, labels, configuration and seed in hex: with the epoch it decides every frame."""
        parts = f"{self.digits.fingerprint()} {self.config} {self.seed} {self.labels.tolist()}"
        return hashlib.sha256(parts.encode()).hexdigest()


class OptimalReconstructions(OccludedMovingDigits):
    """What can be known of the digit at the end of each sequence, in place of the frames: see `optimal_reconstruction`.

    Arguments as for `OccludedMovingDigits`, whose sequences these sum up: `observed` is (1, 1, H, W), the
    reconstruction as the only frame.
    """

    def __getitem__(self, index: int | Sequence[int] | slice | Tensor) -> MovingDigitSequence:
        """The reconstruction of one digit, or of several as one batch."""
        sequence = super().__getitem__(index)
        if isinstance(index, (int, np.integer)):
            return sequence  # made of a batch of one, below
        known = optimal_reconstruction(self.images[index], sequence.position, self.config)
        return sequence._replace(observed=known[:, None])
