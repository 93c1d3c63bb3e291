"""Twenty textures made by a program, for where no photographs are at hand: noise, weaves, tiles, cells and strokes."""

from collections.abc import Callable

import numpy as np
import torch

from fastladder.data.texture_images import Textures, standardised

SIZE = 320
Field = np.ndarray  # (SIZE, SIZE)
ROW, COLUMN = np.mgrid[:SIZE, :SIZE].astype(float)


def procedural_textures(seed: int = 0) -> Textures:
    """(20, 320, 320): the textures of `RECIPES`, standardised. Details repeat every 5 to 20 pixels, as in fine plates.

    Args:
        seed: of the noise in them, 0 or more.
    """
    if seed < 0:
        raise ValueError(f"seed: got {seed}, needs 0 or more")
    generators = np.random.default_rng(seed).spawn(len(RECIPES))
    fields = [recipe(generator) for recipe, generator in zip(RECIPES.values(), generators, strict=True)]
    return standardised(torch.from_numpy(np.stack(fields)), f"{len(RECIPES)} procedural textures")


def noise(
    generator: np.random.Generator, period: float, width: float = 0.5, angle: float = 0.0, spread: float | None = None
) -> Field:
    """White noise filtered to a band of frequencies, of unit variance.

    Args:
        generator: of the white noise.
        period: in pixels, of the middle of the band.
        width: standard deviation of the frequencies, as a share of the middle one.
        angle: of the direction across which the noise varies, in radians from the columns' axis.
        spread: standard deviation of the directions in radians; None: all alike.
    """
    down, across = np.fft.fftfreq(SIZE)[:, None], np.fft.fftfreq(SIZE)
    frequency = np.hypot(down, across) * period
    band = np.exp(-(((frequency - 1) / width) ** 2) / 2)
    if spread is not None:
        turned = np.arctan2(down, across) - angle
        band *= np.exp(-((np.sin(turned) / spread) ** 2) / 2)
    field = np.fft.ifft2(band * np.fft.fft2(generator.standard_normal((SIZE, SIZE)))).real
    return (field - field.mean()) / field.std()


def wave(period: float, angle: float = 0.0, bend: Field | float = 0.0) -> Field:
    """cos of stripes of a period in pixels, across a direction, bent by a field of pixels."""
    across = ROW * np.sin(angle) + COLUMN * np.cos(angle)
    return np.cos(2 * np.pi * (across + bend) / period)


def cells(generator: np.random.Generator, spacing: int) -> tuple[Field, Field, Field]:
    """A point near the middle of each square: distances to the nearest and the next one, and a number of the former."""
    side = SIZE // spacing + 2
    corner = np.indices((side, side)) - 1
    point = (corner + generator.uniform(0.1, 0.9, corner.shape)) * spacing
    shade = generator.standard_normal((side, side))
    row, column = (ROW // spacing).astype(int) + 1, (COLUMN // spacing).astype(int) + 1
    near, which = [], []
    for down, across in np.ndindex(5, 5):
        around = np.clip(row + down - 2, 0, side - 1), np.clip(column + across - 2, 0, side - 1)
        near.append(np.hypot(point[0][around] - ROW, point[1][around] - COLUMN))
        which.append(shade[around])
    distance, shades = np.stack(near), np.stack(which)
    # At the border several neighbours are the same point: the next one is the nearest of another shade.
    first = distance.argmin(0)[None]
    nearest, number = np.take_along_axis(distance, first, 0)[0], np.take_along_axis(shades, first, 0)[0]
    return nearest, np.where(shades == number, np.inf, distance).min(0), number


def tiles(height: int, width: int) -> tuple[Field, Field]:
    """Rows of tiles, each row moved by half a tile against the last: row and column within a tile."""
    return ROW % height, (COLUMN + ROW // height * width / 2) % width


def weave(generator: np.random.Generator, width: int) -> Field:
    """Threads over and under each other."""
    over = (ROW // width + COLUMN // width) % 2 == 0
    along = np.where(over, COLUMN, ROW) % width / width
    thread = np.sin(np.pi * (np.where(over, ROW, COLUMN) % width) / width)
    return thread * (0.6 + 0.4 * np.sin(np.pi * along)) + 0.15 * noise(generator, 3)


def strokes(generator: np.random.Generator, length: float, count: int, spread: float) -> Field:
    """Short bright lines in directions near to the columns' axis."""
    field = np.zeros((SIZE, SIZE))
    centre = generator.uniform(0, SIZE, (count, 2))
    angle = generator.normal(0, spread, count)
    along = np.linspace(-length / 2, length / 2, int(2 * length))
    rows = centre[:, :1] + np.sin(angle)[:, None] * along
    columns = centre[:, 1:] + np.cos(angle)[:, None] * along
    np.maximum.at(
        field,
        (rows.astype(int) % SIZE, columns.astype(int) % SIZE),
        np.broadcast_to(generator.uniform(0.5, 1, (count, 1)), rows.shape),
    )
    return field


def bricks(generator: np.random.Generator) -> Field:
    """Bricks and mortar."""
    row, column = tiles(9, 20)
    return np.where((row < 2) | (column < 2), 2.0, 0.3 * noise(generator, 3))


def scales(generator: np.random.Generator) -> Field:
    """Rows of scales, which grow lighter to their edge."""
    row, column = tiles(7, 14)
    return np.where(np.hypot(row, column - 7) < 7, row, row + 7.0) + noise(generator, 4)


def herringbone(generator: np.random.Generator) -> Field:
    """Stripes to and fro."""
    return wave(7, np.pi / 2, np.abs(COLUMN % 24 - 12)) + 0.3 * noise(generator, 3)


def dots(generator: np.random.Generator) -> Field:
    """Round spots in rows, not quite in their places."""
    bend = 1.2 * noise(generator, 40), 1.2 * noise(generator, 40)
    return np.maximum(wave(11, 0, bend[0]) + wave(11, np.pi / 2, bend[1]), 0.5)


def honeycomb(generator: np.random.Generator) -> Field:
    """Three waves, whose sum is a lattice of hexagons."""
    bend = 0.8 * noise(generator, 50)
    return np.abs(sum(wave(12, angle, bend) for angle in (0, np.pi / 3, 2 * np.pi / 3)))


RECIPES: dict[str, Callable[[np.random.Generator], Field]] = {
    "sand": lambda g: noise(g, 3.5),
    "cork": lambda g: noise(g, 8) + 0.5 * noise(g, 3),
    "leather": lambda g: np.tanh(3 * noise(g, 12, 0.25)),
    "labyrinth": lambda g: np.tanh(3 * noise(g, 9, 0.08)),
    "grass": lambda g: noise(g, 5, 0.4, 0.0, 0.15),
    "water": lambda g: noise(g, 10, 0.2, np.pi / 2, 0.2),
    "wood": lambda g: wave(8, 0.0, 3 * noise(g, 60)) + 0.5 * noise(g, 3, 0.5, 0.0, 0.1),
    "hatching": lambda g: np.maximum(noise(g, 6, 0.3, 0.8, 0.1), noise(g, 6, 0.3, -0.8, 0.1)),
    "weave": lambda g: weave(g, 8),
    "canvas": lambda g: wave(5) * wave(5, np.pi / 2) + 0.4 * noise(g, 4),
    "bricks": bricks,
    "herringbone": herringbone,
    "checks": lambda g: np.tanh(4 * wave(16, 0.0, noise(g, 50)) * wave(16, np.pi / 2, noise(g, 50))),
    "honeycomb": honeycomb,
    "pebbles": lambda g: -cells(g, 14)[0],
    "cracks": lambda g: np.minimum(np.subtract(*cells(g, 16)[1::-1]), 3),
    "gravel": lambda g: cells(g, 9)[2],
    "dots": dots,
    "scales": scales,
    "straw": lambda g: strokes(g, 14, 4000, 10.0),
}
