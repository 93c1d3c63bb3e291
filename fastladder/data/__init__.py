"""Data: digits from several sources, and the sequences made of them. Imports neither models nor operators."""

from fastladder.data.dataset import UNLABELLED, OccludedMovingDigits, OptimalReconstructions, Sequence
from fastladder.data.digits import Digits, Splits, balanced_draw, bundled_digits, split_digits
from fastladder.data.idx import DataError, read_idx
from fastladder.data.mnist_files import mnist, mnist_splits
from fastladder.data.moving import (
    PAPER,
    SMALL,
    VELOCITIES,
    MovingDigits,
    coverage,
    occlude,
    optimal_reconstruction,
    render,
    trajectories,
)

__all__ = [
    "PAPER",
    "SMALL",
    "UNLABELLED",
    "VELOCITIES",
    "DataError",
    "Digits",
    "MovingDigits",
    "OccludedMovingDigits",
    "OptimalReconstructions",
    "Sequence",
    "Splits",
    "balanced_draw",
    "bundled_digits",
    "coverage",
    "mnist",
    "mnist_splits",
    "occlude",
    "optimal_reconstruction",
    "read_idx",
    "render",
    "split_digits",
    "trajectories",
]
