import hashlib

import numpy as np
import pytest
import torch

from fastladder.data import INVERTED, SQUARE, TRIANGLE, draw_shapes, shapes

# The first two training images: the group of every pixel, x where shapes overlap. Drawn by a program of its own from
# the description of the data, pixel by pixel.
FIRST = """
.333333333333.......
.333333333333.......
..333....333........
...333..33x2........
....33333x222.......
.....333x22222......
......3x22..222.....
......222....222....
.....xxxxxxx22222...
.....xxxxxxx22222...
.....11...11........
.....11...11........
.....11...11........
.....1111111........
.....1111111........
....................
....................
....................
....................
....................
"""
SECOND = """
.....222222222222...
.....2222222xxxxx33.
......222...3xxx333.
.......222..xx2..33.
........2222xx...33.
.........222x3...33.
..........223333333.
............3333333.
....................
....................
....................
.....11.............
....1111............
...111111...........
..111..111..........
.111....111.........
111111111111........
111111111111........
....................
....................
"""


@pytest.fixture(scope="module")
def training():
    return shapes((50_000, 1, 1)).train


def drawn(images, index):
    pixels = zip(images.groups[index].tolist(), images.images[index].tolist(), strict=True)
    rows = ["".join(str(g) if g else ".x"[int(ink)] for g, ink in zip(*row, strict=True)) for row in pixels]
    return "\n" + "\n".join(rows) + "\n"


def test_the_shapes():
    assert [tuple(shape.shape) for shape in (SQUARE, TRIANGLE, INVERTED)] == [(7, 7), (7, 12), (7, 12)]
    assert [shape.sum() for shape in (SQUARE, TRIANGLE, INVERTED)] == [40, 48, 48]
    hole = torch.zeros(7, 7, dtype=torch.bool)
    hole[2:5, 2:5] = True
    assert torch.equal(SQUARE, ~hole)
    assert TRIANGLE.sum(1).tolist() == [2, 4, 6, 6, 6, 12, 12]
    assert torch.equal(TRIANGLE, TRIANGLE.flip(1))
    assert torch.equal(INVERTED, TRIANGLE.flip(0))


def test_the_first_images_are_the_papers(training):
    assert drawn(training, 0) == FIRST
    assert drawn(training, 1) == SECOND


def test_the_first_hundred_images_are_the_papers(training):
    """The digest is that of a program of its own, as above, which agrees on all 80,000 images of the four sets."""
    digest = hashlib.sha256(training.images[:100].byte().numpy().tobytes() + training.groups[:100].numpy().tobytes())
    assert digest.hexdigest() == "c54d8be1b5feb6c0363e7dae6257de8ee2082d770d72b665f2ef29f5085527c6"


def test_statistics(training):
    assert training.labels is None
    assert training.images.shape == (50_000, 20, 20)
    scored = training.groups > 0
    overlap = (training.images == 1) & ~scored
    # Over images the three shares have standard deviations of 0.03 to 0.06: means of 50,000 are good to 0.0003.
    assert training.images.mean().item() == pytest.approx(0.2847, abs=0.001)
    assert scored.float().mean().item() == pytest.approx(0.2336, abs=0.001)
    assert overlap.float().mean().item() == pytest.approx(0.0511, abs=0.001)
    assert training.images[scored].min() == 1
    assert training.groups.unique().tolist() == [0, 1, 2, 3]


def test_places_of_a_single_shape():
    """Every shape as often, every place inside the image as often."""
    count = 20_000
    images = draw_shapes(count, 1, np.random.RandomState(0))
    assert torch.equal(images.images, images.groups.float())
    row_ink, column_ink = images.groups.amax(2), images.groups.amax(1)
    row, column = row_ink.argmax(1), column_ink.argmax(1)
    seen = 0
    for shape in (SQUARE, TRIANGLE, INVERTED):
        height, width = shape.shape
        windows = images.images.unfold(1, height, 1).unfold(2, width, 1)
        corner = windows[torch.arange(count), row, column.clamp(max=20 - width)]
        found = (images.images.sum((1, 2)) == shape.sum()) & (corner == shape).all((1, 2))
        # Five standard deviations of a binomial share, here and below.
        assert abs(found.float().mean() - 1 / 3) < 5 * (2 / 9 / count) ** 0.5
        seen += found.sum()
        for place, places in ((row[found], 21 - height), (column[found], 21 - width)):
            shares = place.bincount(minlength=places) / len(place)
            assert len(shares) == places
            assert (shares - 1 / places).abs().max() < 5 * ((1 / places) * (1 - 1 / places) / len(place)) ** 0.5
    assert seen == count


def test_the_splits_are_one_stream():
    generator = np.random.RandomState(265_076)
    for split, count in zip(shapes((30, 20, 10)), (30, 20, 10), strict=True):
        assert split.fingerprint() == draw_shapes(count, 3, generator).fingerprint()


def test_the_seed_decides():
    first, again, other = (shapes((30, 20, 10), seed=seed).test.fingerprint() for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("objects", [1, 2, 4, 255])
def test_other_numbers_of_shapes(objects):
    images = draw_shapes(50, objects, np.random.RandomState(0))
    assert images.groups.max() == objects
    assert images.source == f"Shapes, {objects} in an image"
    assert torch.equal(images.images.unique(), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: draw_shapes(0, 3, np.random.RandomState(0)), "count: got 0, needs 1 or more"),
        (lambda: draw_shapes(5, 0, np.random.RandomState(0)), "objects: got 0, needs 1 to 255"),
        (lambda: draw_shapes(5, 256, np.random.RandomState(0)), "objects: got 256, needs 1 to 255"),
        (lambda: shapes((5, 5, 0)), r"sizes: got \(5, 5, 0\), needs three numbers above 0"),
        (lambda: shapes((5, 5, 5), seed=-1), r"seed: got -1, needs 0 to 2\*\*32 - 1"),
        (lambda: shapes((5, 5, 5), seed=2**32), "seed: got 4294967296"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
