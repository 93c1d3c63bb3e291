import pytest
import torch

from fastladder.data import Textures, standardised


def random_textures(count=3, size=8, seed=0):
    return torch.rand(count, size, size, generator=torch.Generator().manual_seed(seed))


def test_standardised_textures_have_the_same_brightness_and_contrast():
    images = torch.stack([255 * random_textures()[0], 10 + 0.1 * random_textures()[1]])
    textures = standardised(images, "noise")
    assert (len(textures), textures.size, textures.source) == (2, 8, "noise")
    for before, after in zip(images, textures.images, strict=True):
        # Noise that is uniform stays within 1.8 standard deviations: nothing is cut off.
        assert after.mean() == pytest.approx(0.5)
        assert after.std(correction=0) == pytest.approx(0.2)
        torch.testing.assert_close((after - 0.5) / 0.2, (before - before.mean()) / before.std(correction=0))


def test_what_is_too_bright_is_cut_off():
    images = torch.zeros(2, 10, 10)
    images[:, 3, 4] = 1
    textures = standardised(images, "a spot")
    assert textures.images[:, 3, 4].tolist() == [1, 1]
    assert textures.images.min() > 0.4


def test_bytes_are_standardised_too():
    images = torch.randint(256, (2, 9, 9), generator=torch.Generator().manual_seed(0)).byte()
    assert torch.equal(standardised(images, "").images, standardised(images.double(), "").images)


def test_halved():
    textures = standardised(random_textures(size=9), "noise")
    half = textures.halved()
    assert half.images.shape == (3, 4, 4)
    assert half.source == "noise, halved"
    mean = torch.stack([textures.images[:, i : i + 8 : 2, j : j + 8 : 2] for i in (0, 1) for j in (0, 1)]).mean(0)
    torch.testing.assert_close(half.images, standardised(mean, "").images)


def test_fingerprint_is_of_the_content():
    images = random_textures()
    other = images.clone()
    other[1, 2, 3] = 1 - other[1, 2, 3]
    one, same, changed = Textures(images, "a"), Textures(images.clone(), "b"), Textures(other, "a")
    assert one.fingerprint() == same.fingerprint()
    assert one.fingerprint() != changed.fingerprint()
    assert len(one.fingerprint()) == 64


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 8), r"images: got torch.float32 of shape \(3, 8\), needs float32 \(B, S, S\)"),
        (torch.zeros(3, 8, 7), r"images: got torch.float32 of shape \(3, 8, 7\), needs float32 \(B, S, S\)"),
        (torch.zeros(3, 8, 8).double(), "images: got torch.float64"),
        (torch.zeros(1, 8, 8), r"images: got .* of shape \(1, 8, 8\), needs two textures of one pixel at least"),
        (torch.zeros(2, 0, 0), r"images: got .* of shape \(2, 0, 0\), needs two textures"),
        (torch.full((2, 8, 8), 1.5), r"images: got values in \[1.5, 1.5\], needs \[0, 1\]"),
        (torch.full((2, 8, 8), torch.nan), "images: got values in"),
    ],
)
def test_wrong_textures_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        Textures(images, "wrong")


def test_what_cannot_be_standardised_is_refused():
    images = random_textures()
    for value in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="images: got NaN or infinity, needs finite numbers"):
            standardised(images.index_fill(0, torch.tensor([1]), value), "wrong")
    with pytest.raises(ValueError, match="images: got texture 1 of a single value, needs textures that vary"):
        standardised(images.index_fill(0, torch.tensor([1]), 0.3), "wrong")
    with pytest.raises(ValueError, match=r"images: got shape \(3, 8, 0\), needs \(B, S, S\) of one pixel at least"):
        standardised(images[:, :, :0], "wrong")
    with pytest.raises(ValueError, match=r"images: got torch.float32 of shape \(3, 8, 4\), needs float32 \(B, S, S\)"):
        standardised(images[:, :, :4], "wrong")
