"""Shapes: binary images of a few outlined squares and triangles, after Tagger, section 3.

The data set goes back to Reichert and Serre, "Neuronal Synchrony in Complex-Valued Deep Networks", ICLR 2014.
"""

import numpy as np
import torch
from torch import Tensor

from fastladder.data.grouped import GroupedImages, GroupedSplits, check_sizes

SIZE = 20  # height and width of an image


def _drawing(*rows: str) -> Tensor:
    return torch.tensor([[character == "#" for character in row] for row in rows])


SQUARE = _drawing(
    "#######",
    "#######",
    "##...##",
    "##...##",
    "##...##",
    "#######",
    "#######",
)
"""(7, 7) bool, true where there is ink: 40 pixels."""

TRIANGLE = _drawing(
    ".....##.....",
    "....####....",
    "...######...",
    "..###..###..",
    ".###....###.",
    "############",
    "############",
)
"""(7, 12) bool: 48 pixels."""

INVERTED = TRIANGLE.flip(0)
"""(7, 12) bool: the triangle upside down."""

SHAPES = (SQUARE, TRIANGLE, INVERTED)


def shapes(
    sizes: tuple[int, int, int] = (50_000, 10_000, 10_000), *, objects: int = 3, seed: int = 265_076
) -> GroupedSplits:
    """The Shapes data of Tagger: 20 x 20 binary images, each of three shapes that may overlap.

    With the defaults these are the very images of the paper's program. All splits come from one stream of random
    numbers, one after the other, so other sizes give other images, save for the first ones of the training set.
    The paper's fourth set, 10,000 images of a single shape, is what `draw_shapes` gives where the test set ends::

        generator = np.random.RandomState(265_076)
        splits = [draw_shapes(count, 3, generator) for count in (50_000, 10_000, 10_000)]
        single = draw_shapes(10_000, 1, generator)

    Args:
        sizes: the number of images in train, valid and test.
        objects: the number of shapes in an image, 1 to 255.
        seed: of the stream, 0 to 2**32 - 1; the default is the paper's.
    """
    check_sizes(sizes)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed: got {seed}, needs 0 to 2**32 - 1")
    generator = np.random.RandomState(seed)
    return GroupedSplits(*(draw_shapes(count, objects, generator) for count in sizes))


def draw_shapes(count: int, objects: int, generator: np.random.RandomState) -> GroupedImages:
    """Draws images of shapes; each is a square, a triangle or an inverted triangle with probability 1/3.

    A shape lies wholly inside the image, at any place with the same probability. The image is the union of its shapes.
    Pixels of the first, second, ... shape are of group 1, 2, ...; background and pixels of two shapes or more are not
    scored.

    Args:
        count: the number of images, M.
        objects: the number of shapes in an image, 1 to 255.
        generator: NumPy's legacy one, whose stream never changes. Every shape takes three draws: which, column, row.

    Returns:
        images (M, 20, 20), without labels.
    """
    if count < 1:
        raise ValueError(f"count: got {count}, needs 1 or more")
    if not 1 <= objects <= 255:
        raise ValueError(f"objects: got {objects}, needs 1 to 255")
    drawn = torch.tensor([_draw_place(generator) for _ in range(count * objects)]).unflatten(0, (count, objects))
    stamps = _stamps()
    covered = torch.zeros(count, SIZE, SIZE, dtype=torch.uint8)  # the number of shapes at each pixel
    groups = torch.zeros_like(covered)
    for index in range(objects):
        stamp = stamps[drawn[:, index].unbind(1)]
        covered += stamp
        groups[stamp] = index + 1
    groups[covered > 1] = 0
    return GroupedImages((covered > 0).float(), groups, None, f"Shapes, {objects} in an image")


def _draw_place(generator: np.random.RandomState) -> tuple[int, int, int]:
    """Which shape, and row and column of its upper left corner.

    One number at a time: how many bits of the stream a draw takes depends on its bound, and the bounds on the shape.
    """
    which = generator.randint(len(SHAPES))
    height, width = SHAPES[which].shape
    column = generator.randint(SIZE - width + 1)
    row = generator.randint(SIZE - height + 1)
    return which, row, column


def _stamps() -> Tensor:
    """(3, 14, 14, 20, 20) bool: an image of each shape at each row and column where it lies inside."""
    places = SIZE - min(min(shape.shape) for shape in SHAPES) + 1
    stamps = torch.zeros(len(SHAPES), places, places, SIZE, SIZE, dtype=torch.bool)
    for which, shape in enumerate(SHAPES):
        height, width = shape.shape
        for row in range(SIZE - height + 1):
            for column in range(SIZE - width + 1):
                stamps[which, row, column, row : row + height, column : column + width] = shape
    return stamps
