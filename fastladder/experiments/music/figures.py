"""Pictures of piano rolls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from fastladder.data import KEYS, LOWEST
from fastladder.experiments.files import write_figure

GIVEN, MADE = 1, 2  # numbers of the colours below
COLOURS = ListedColormap(["none", "0.55", "tab:blue"])
OCTAVES = range(24, LOWEST + KEYS, 12)  # the MIDI numbers of all Cs


def plot_rolls(path: Path, rolls: Sequence[tuple[str, Tensor]]) -> None:
    """Draws piano rolls one below the other, time to the right and pitch upwards.

    Args:
        path: of the picture.
        rolls: of each its title, and (T, 88) numbers: 0 where nothing sounds, `GIVEN` for a note that was given, `MADE`
            for one that a network made.
    """
    figure = Figure(figsize=(10, 0.4 + 2.6 * len(rolls)), layout="constrained")
    for axis, (title, roll) in zip(figure.subplots(len(rolls), 1, squeeze=False)[:, 0], rolls, strict=True):
        draw_roll(axis, roll)
        axis.set_title(title, fontsize=10, loc="left")
    axis.set_xlabel("time step")
    write_figure(path, figure, dpi=120)


def draw_roll(axis: Axes, roll: Tensor) -> None:
    """Draws a piano roll, from a little below its lowest note to a little above its highest."""
    notes = np.flatnonzero(roll.numpy().any(0))
    lowest, highest = (notes[0], notes[-1]) if len(notes) else (0, KEYS - 1)
    options: dict[str, Any] = {"aspect": "auto", "origin": "lower", "interpolation": "none", "zorder": 2}
    axis.imshow(roll.numpy().T, cmap=COLOURS, vmin=0, vmax=2, **options)
    axis.set_yticks([note - LOWEST for note in OCTAVES], [f"C{note // 12 - 1}" for note in OCTAVES], fontsize=8)
    axis.set_ylim(max(lowest - 4, 0) - 0.5, min(highest + 4, KEYS - 1) + 0.5)
    axis.grid(axis="y", color="0.9", linewidth=0.6)
