"""Data: digits from several sources, what is made of them, and shapes. Imports neither models nor operators."""

from fastladder.data.dataset import UNLABELLED, MovingDigitSequence, OccludedMovingDigits, OptimalReconstructions
from fastladder.data.digits import Digits, Splits, balanced_draw, bundled_digits, split_digits
from fastladder.data.grouped import GroupedImages, GroupedSplits
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
from fastladder.data.shapes import INVERTED, SQUARE, TRIANGLE, draw_shapes, shapes
from fastladder.data.textures import enlarged, texture_bank, texture_splits, textured_digits

__all__ = [
    "INVERTED",
    "PAPER",
    "SMALL",
    "SQUARE",
    "TRIANGLE",
    "UNLABELLED",
    "VELOCITIES",
    "DataError",
    "Digits",
    "GroupedImages",
    "GroupedSplits",
    "MovingDigitSequence",
    "MovingDigits",
    "OccludedMovingDigits",
    "OptimalReconstructions",
    "Splits",
    "balanced_draw",
    "bundled_digits",
    "coverage",
    "draw_shapes",
    "enlarged",
    "mnist",
    "mnist_splits",
    "occlude",
    "optimal_reconstruction",
    "read_idx",
    "render",
    "shapes",
    "split_digits",
    "texture_bank",
    "texture_splits",
    "textured_digits",
    "trajectories",
]
