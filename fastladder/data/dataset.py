"""Occluded moving digits as a dataset: one sequence for every digit."""

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from fastladder.data.digits import Digits
from fastladder.data.drawn import DrawnDataset, Index
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


class OccludedMovingDigits(DrawnDataset[MovingDigitSequence]):
    """One occluded moving sequence for every digit; item i shows digit i.

    Where digits move is drawn once from the seed and is the same on every device. Frames are drawn when they are asked
    for, see `fastladder.data.drawn.DrawnDataset`, so 50,000 sequences take the memory of 50,000 digits.

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
        config.check_digits(digits.images)
        if labelled is not None and (labelled.shape != digits.labels.shape or labelled.dtype != torch.bool):
            shape = tuple(labelled.shape)
            raise ValueError(f"labelled: got {labelled.dtype} of shape {shape}, needs bool, one for each digit")
        self.digits = digits
        self.config = config
        self.images = digits.images.to(device)
        self.labels = digits.labels.to(device)
        if labelled is not None:
            self.labels = self.labels.where(labelled.to(device), UNLABELLED)
        super().__init__(len(digits), seed)

    def decide(self, generator: torch.Generator) -> None:
        """Draws new trajectories for all digits."""
        self.positions = trajectories(len(self), self.config, generator).to(self.images.device)

    def batch(self, index: Index) -> MovingDigitSequence:
        """The sequences of several digits."""
        positions = self.positions[index]
        clean = render(self.images[index], positions, self.config)
        return MovingDigitSequence(occlude(clean, self.config), clean, self.labels[index], positions)

    def fingerprint(self) -> str:
        """The sha256 of digits, labels, configuration and seed in hex: with the epoch it decides every frame."""
        parts = f"{self.digits.fingerprint()} {self.config} {self.seed} {self.labels.tolist()}"
        return hashlib.sha256(parts.encode()).hexdigest()


class OptimalReconstructions(OccludedMovingDigits):
    """What can be known of the digit at the end of each sequence, in place of the frames: see `optimal_reconstruction`.

    Arguments as for `OccludedMovingDigits`, whose sequences these sum up: `observed` is (1, 1, H, W), the
    reconstruction as the only frame.
    """

    def batch(self, index: Index) -> MovingDigitSequence:
        """The reconstructions of several digits."""
        sequence = super().batch(index)
        known = optimal_reconstruction(self.images[index], sequence.position, self.config)
        return sequence._replace(observed=known[:, None])
