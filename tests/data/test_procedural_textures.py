import numpy as np
import pytest
import torch

from fastladder.data import procedural_textures
from fastladder.data.procedural_textures import SIZE, cells, noise, strokes, tiles, wave


@pytest.fixture(scope="module")
def textures():
    return procedural_textures()


def test_twenty_textures_that_vary_everywhere(textures):
    assert textures.images.shape == (20, 320, 320)
    assert textures.source == "20 procedural textures"
    pieces = textures.images.unfold(1, 40, 40).unfold(2, 40, 40)
    assert pieces.std((3, 4)).min() > 0.05
    assert (pieces.mean((3, 4)) - 0.5).abs().max() < 0.2


def test_no_two_textures_are_alike(textures):
    """By the power of frequencies in rings and sectors, which does not depend on where a texture begins."""
    spectra = torch.fft.fftshift(torch.fft.fft2(textures.images - 0.5).abs().square(), dim=(1, 2))
    power = torch.nn.functional.avg_pool2d(spectra[:, None], 16)[:, 0].flatten(1)
    power = power / power.sum(1, keepdim=True)
    shared = torch.minimum(power[:, None], power).sum(2)  # of two distributions: 1 for equal ones
    assert (shared - torch.eye(20)).max() < 0.9


def test_the_seed_decides(textures):
    assert procedural_textures(0).fingerprint() == textures.fingerprint()
    other = procedural_textures(1)
    assert ((other.images - textures.images).abs().amax((1, 2)) > 0.1).all()


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed: got -1, needs 0 or more"):
        procedural_textures(-1)


def test_noise_varies_at_its_period_and_in_its_direction():
    generator = np.random.default_rng(0)
    field = noise(generator, 8, 0.2, np.pi / 2, 0.2)
    assert field.std() == pytest.approx(1)
    power = np.abs(np.fft.fft2(field)) ** 2
    down, across = np.abs(np.fft.fftfreq(SIZE))[:, None], np.abs(np.fft.fftfreq(SIZE))
    assert (power * np.hypot(down, across)).sum() / power.sum() == pytest.approx(1 / 8, rel=0.1)
    assert (power * (down > across)).sum() > 0.99 * power.sum()


def test_a_wave_has_its_period_and_direction():
    assert wave(8)[0, ::8] == pytest.approx(1)
    assert wave(8)[:, 4] == pytest.approx(-1)
    assert wave(8, np.pi / 2)[::8, 0] == pytest.approx(1)
    assert wave(8, bend=4.0) == pytest.approx(-wave(8))


def test_cells_against_loops():
    spacing = 40
    nearest, following, number = cells(np.random.default_rng(0), spacing)
    generator = np.random.default_rng(0)
    side = SIZE // spacing + 2
    points = (np.indices((side, side)) - 1 + generator.uniform(0.1, 0.9, (2, side, side))) * spacing
    shades = generator.standard_normal((side, side)).flatten()
    points = points.reshape(2, -1)
    for row, column in [(0, 0), (0, 319), (17, 230), (160, 160), (319, 5)]:
        distances = np.hypot(points[0] - row, points[1] - column)
        order = distances.argsort()
        assert nearest[row, column] == pytest.approx(distances[order[0]])
        assert following[row, column] == pytest.approx(distances[order[1]])
        assert number[row, column] == shades[order[0]]


def test_every_other_row_of_tiles_is_moved():
    row, column = tiles(9, 20)
    assert row[[0, 8, 9, 30], 0].tolist() == [0, 8, 0, 3]
    assert column[0, [0, 19, 20]].tolist() == [0, 19, 0]
    assert column[9, [0, 19, 20]].tolist() == [10, 9, 10]


def test_strokes_lie_in_their_directions():
    level = strokes(np.random.default_rng(0), 20, 10, 0.0)
    assert 1 <= (level > 0).any(1).sum() <= 10
    assert (level > 0).sum(1).max() >= 20
    assert level.max() <= 1
