"""Data: digits from several sources, and the sequences made of them. Imports neither models nor operators."""

from fastladder.data.dataset import OccludedMovingDigits, Sequence
from fastladder.data.digits import Digits, Splits, bundled_digits, split_digits
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
    "VELOCITIES",
    "DataError",
    "Digits",
    "MovingDigits",
    "OccludedMovingDigits",
    "Sequence",
    "Splits",
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
