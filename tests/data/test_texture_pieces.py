import math

import pytest
import torch

from fastladder.data import Textures
from fastladder.data.texture_pieces import Pieces, check_pieces, cut, draw_pieces


def random_textures(count=4, size=40):
    return Textures(torch.rand(count, size, size, generator=torch.Generator().manual_seed(0)), "noise")


def draw(count, textures, size, scales, seed=0):
    return draw_pieces(count, textures, size, scales, torch.Generator().manual_seed(seed))


def one(texture, row, column, angle=0.0, scale=1.0):
    return Pieces(torch.tensor([texture]), *(torch.tensor([float(number)]) for number in (row, column, angle, scale)))


def test_a_piece_as_it_is():
    images = random_textures().images
    torch.testing.assert_close(cut(images, one(2, 10, 20), 5)[0], images[2, 8:13, 18:23], atol=1e-4, rtol=0)
    torch.testing.assert_close(cut(images, one(3, 9.5, 20.5), 4)[0], images[3, 8:12, 19:23], atol=1e-4, rtol=0)
    whole = cut(images, one(1, 19.5, 19.5), 40)[0]
    torch.testing.assert_close(whole, images[1], atol=1e-4, rtol=0)


def test_a_piece_turned_by_a_right_angle():
    images = random_textures().images
    piece = images[1, 8:13, 18:23]
    for quarter in range(4):
        turned = cut(images, one(1, 10, 20, quarter * math.pi / 2), 5)[0]
        torch.testing.assert_close(turned, piece.rot90(quarter), atol=1e-4, rtol=0)


def test_pieces_against_loops():
    images = random_textures(3).images.double()
    pieces = draw(6, random_textures(3), 7, (0.5, 2.0))
    pieces = Pieces(*(each.flatten() for each in pieces))
    found = cut(images, Pieces(pieces.texture, *(each.double() for each in pieces[1:])), 7)
    for n, (texture, row, column, angle, scale) in enumerate(zip(*(each.tolist() for each in pieces), strict=True)):
        for i in range(7):
            for j in range(7):
                down, across = (i - 3) / scale, (j - 3) / scale
                r = row + math.cos(angle) * down + math.sin(angle) * across
                c = column + math.cos(angle) * across - math.sin(angle) * down
                top, left = min(int(r), 38), min(int(c), 38)
                corner = images[texture, top : top + 2, left : left + 2]
                weight_r = torch.tensor([1 - (r - top), r - top]).double()
                weight_c = torch.tensor([1 - (c - left), c - left]).double()
                assert found[n, i, j].item() == pytest.approx((weight_r @ corner @ weight_c).item(), abs=1e-5)


@pytest.mark.parametrize("scales", [None, (0.7, 2.0)])
def test_pieces_lie_within_their_textures(scales):
    """What is cut from textures of ones is one everywhere, at the very border too."""
    size = 23
    check_pieces(random_textures(size=48), size, scales)
    pieces = Pieces(*(each.flatten() for each in draw(500, random_textures(size=48), size, scales)))
    torch.testing.assert_close(cut(torch.ones(4, 48, 48), pieces, size), torch.ones(1000, size, size))
    ramp = torch.arange(48.0).expand(4, 48, 48).contiguous()
    for rows in (ramp, ramp.mT.contiguous()):
        found = cut(rows, pieces, size)
        assert -1e-3 < found.min() < 1
        assert 46 < found.max() < 47 + 1e-3


def test_what_is_drawn():
    count, textures = 20_000, random_textures(4)
    pieces = draw(count, textures, 9, (0.5, 2.0))
    assert pieces.texture.shape == (count, 2)
    first, second = pieces.texture.unbind(1)
    assert not (first == second).any()
    pairs = (4 * first + second).bincount(minlength=16).view(4, 4) / count
    expected = (1 - torch.eye(4)) / 12
    # Five standard deviations of a binomial share.
    assert (pairs - expected).abs().max() < 5 * (1 / 12 * 11 / 12 / count) ** 0.5
    for uniform in (pieces.angle / (2 * math.pi), (pieces.scale.log2() + 1) / 2):
        share = (10 * uniform).long().flatten().bincount(minlength=10) / (2 * count)
        assert len(share) == 10
        assert (share - 0.1).abs().max() < 5 * (0.09 / (2 * count)) ** 0.5
        assert abs(uniform.T.corrcoef()[0, 1]) < 5 / count**0.5  # the two of a pair are independent
    upright = draw(count, textures, 9, None)
    assert (upright.angle == 0).all()
    assert (upright.scale == 1).all()
    share = (10 * (upright.row - 4) / 31).long().flatten().bincount(minlength=10) / (2 * count)
    assert (share - 0.1).abs().max() < 5 * (0.09 / (2 * count)) ** 0.5


def test_the_generator_decides():
    first, again, other = (draw(5, random_textures(), 9, (0.5, 2.0), seed) for seed in (0, 0, 1))
    for one_field, same, changed in zip(first, again, other, strict=True):
        assert torch.equal(one_field, same)
        assert not torch.equal(one_field, changed)


@pytest.mark.parametrize(
    ("size", "scales", "message"),
    [
        (0, None, "size: got 0, needs 1 or more"),
        (9, (1.0,), r"scales: got \(1.0,\), needs two finite numbers above 0, the smaller one first"),
        (9, (0.0, 1.0), r"scales: got \(0.0, 1.0\)"),
        (9, (1.5, 1.0), r"scales: got \(1.5, 1.0\)"),
        (9, (1.0, math.inf), r"scales: got \(1.0, inf\)"),
        (9, (math.nan, 1.0), r"scales: got \(nan, 1.0\)"),
        (9, (1.0, math.nan), r"scales: got \(1.0, nan\)"),
        (41, None, "textures: got 40 x 40, needs 41 x 41 for pieces of 41 x 41"),
        (
            29,
            (1.0, 1.0),
            "textures: got 40 x 40, needs 41 x 41 for pieces of 29 x 29 at any angle and scale 1",
        ),
        (15, (0.5, 2.0), "textures: got 40 x 40, needs 41 x 41 for pieces of 15 x 15 at any angle and scale 0.5"),
    ],
)
def test_wrong_pieces_are_refused(size, scales, message):
    with pytest.raises(ValueError, match=message):
        check_pieces(random_textures(), size, scales)
    check_pieces(random_textures(), 28, (1.0, 1.0))
    check_pieces(random_textures(), 40, None)


def test_a_texture_of_one_pixel_is_refused():
    with pytest.raises(ValueError, match="textures: got 1 x 1, needs 2 x 2 for pieces of 1 x 1"):
        check_pieces(random_textures(size=1), 1, None)
