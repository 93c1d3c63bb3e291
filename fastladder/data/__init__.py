"""Data: grey images, digits and what is made of them, shapes, and music. Imports neither models nor operators."""

from fastladder.data.bouncing import render
from fastladder.data.chorales import chorales
from fastladder.data.dataset import UNLABELLED, MovingDigitSequence, OccludedMovingDigits, OptimalReconstructions
from fastladder.data.digits import Digits, Splits, balanced_draw, bundled_digits, split_digits
from fastladder.data.grey_images import GreyImages, GreySplits
from fastladder.data.grouped import GroupedBatch, GroupedImages, GroupedSequence, GroupedSplits
from fastladder.data.idx import DataError, read_idx
from fastladder.data.midi import read_midi, read_midi_folder, write_midi
from fastladder.data.mnist_files import mnist, mnist_splits
from fastladder.data.moving import (
    PAPER,
    SMALL,
    VELOCITIES,
    MovingDigits,
    coverage,
    occlude,
    optimal_reconstruction,
    trajectories,
)
from fastladder.data.moving_groups import MOVING_MNIST, MOVING_SMALL, GroupedMovingDigits, MovingGroups, overlay
from fastladder.data.norb import read_norb_matrix, small_norb
from fastladder.data.omniglot import omniglot
from fastladder.data.photographed_textures import brodatz, scikit_image_textures
from fastladder.data.piano_rolls import KEYS, LOWEST, PianoRolls, PianoRollSplits
from fastladder.data.polymusic import polymusic, read_polymusic
from fastladder.data.procedural_textures import procedural_textures
from fastladder.data.roll_chunks import RollBatch, RollChunks
from fastladder.data.shapes import INVERTED, SQUARE, TRIANGLE, draw_shapes, shapes
from fastladder.data.sound import synthesize, write_wav
from fastladder.data.strokes import enlarged, thickened
from fastladder.data.texture_images import Textures, standardised
from fastladder.data.textures import texture_bank, texture_splits, textured_digits
from fastladder.data.thick_digits import TexturedThickDigits, thick_digit_splits
from fastladder.data.tunes import made_up_tunes

__all__ = [
    "INVERTED",
    "KEYS",
    "LOWEST",
    "MOVING_MNIST",
    "MOVING_SMALL",
    "PAPER",
    "SMALL",
    "SQUARE",
    "TRIANGLE",
    "UNLABELLED",
    "VELOCITIES",
    "DataError",
    "Digits",
    "GreyImages",
    "GreySplits",
    "GroupedBatch",
    "GroupedImages",
    "GroupedMovingDigits",
    "GroupedSequence",
    "GroupedSplits",
    "MovingDigitSequence",
    "MovingDigits",
    "MovingGroups",
    "OccludedMovingDigits",
    "OptimalReconstructions",
    "PianoRollSplits",
    "PianoRolls",
    "RollBatch",
    "RollChunks",
    "Splits",
    "TexturedThickDigits",
    "Textures",
    "balanced_draw",
    "brodatz",
    "bundled_digits",
    "chorales",
    "coverage",
    "draw_shapes",
    "enlarged",
    "made_up_tunes",
    "mnist",
    "mnist_splits",
    "occlude",
    "omniglot",
    "optimal_reconstruction",
    "overlay",
    "polymusic",
    "procedural_textures",
    "read_idx",
    "read_midi",
    "read_midi_folder",
    "read_norb_matrix",
    "read_polymusic",
    "render",
    "scikit_image_textures",
    "shapes",
    "small_norb",
    "split_digits",
    "standardised",
    "synthesize",
    "texture_bank",
    "texture_splits",
    "textured_digits",
    "thick_digit_splits",
    "thickened",
    "trajectories",
    "write_midi",
    "write_wav",
]
