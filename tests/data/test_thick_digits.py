import pytest
import torch
from torch.utils.data import DataLoader

from fastladder.data import (
    Digits,
    GroupedBatch,
    Splits,
    TexturedThickDigits,
    Textures,
    brodatz,
    mnist,
    thick_digit_splits,
    thickened,
)
from fastladder.data.strokes import enlarge
from fastladder.data.texture_pieces import Pieces, cut

DEVICES = pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))],
)


@pytest.fixture
def digits():
    images = torch.rand(7, 6, 6, generator=torch.Generator().manual_seed(0))
    return Digits(images, torch.arange(7), "noise")


@pytest.fixture
def textures():
    return Textures(torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(1)), "more noise")


def thick(digits, textures, count=10, size=12, **options):
    return TexturedThickDigits(digits, textures, size, count=count, **options)


@pytest.mark.parametrize("scales", [None, (0.75, 1.5)])
def test_a_batch_is_composed_of_two_pieces_through_the_digit(digits, textures, scales):
    dataset = thick(digits, textures, scales=scales)
    batch = dataset[[8, 2, 5]]
    assert isinstance(batch, GroupedBatch)
    assert batch.label.shape == (3, 1)
    for n, index in enumerate((8, 2, 5)):
        pieces = Pieces(*(each[index] for each in dataset.pieces))
        below, above = cut(textures.images, pieces, 12)
        matte = enlarge(digits.images[batch.label[n]], 12, 12)[0]
        torch.testing.assert_close(batch.image[n], matte * above + (1 - matte) * below)
        assert torch.equal(batch.groups[n] == 2, matte > 0.9)
        assert torch.equal(batch.groups[n] == 1, 1 - matte > 0.9)
        assert torch.equal(batch.groups[n] == 0, (matte <= 0.9) & (1 - matte <= 0.9))
    assert batch.groups.unique().tolist() == [0, 1, 2]
    assert torch.equal(dataset.pieces.angle == 0, torch.full((10, 2), scales is None))


def test_an_item_and_a_loader(digits, textures):
    dataset = thick(digits, textures)
    item, whole = dataset[-1], dataset[:]
    assert item.image.shape == item.groups.shape == (12, 12)
    torch.testing.assert_close(item.image, whole.image[9])
    (batch,) = DataLoader(dataset, batch_size=10)
    for one, other in zip(batch, whole, strict=True):
        assert torch.equal(one, other)


def test_digits_come_evenly(digits, textures):
    assert thick(digits, textures, 70)[:].label.flatten().bincount(minlength=7).tolist() == 7 * [10]


@DEVICES
def test_seed_and_epoch_decide_on_every_device(digits, textures, device):
    dataset = thick(digits, textures, seed=1, device=device)
    first = dataset[:]
    assert first.image.device.type == device
    dataset.resample(1)
    second = dataset[:]
    assert not torch.equal(first.image, second.image)
    again = thick(digits, textures, seed=1)
    again.resample(1)
    torch.testing.assert_close(second.image.cpu(), again[:].image)
    assert torch.equal(second.label.cpu(), again[:].label)


def test_fingerprint_is_of_all_that_decides(digits, textures):
    other_digits = Digits(digits.images.flip(0), digits.labels, "noise")
    other_textures = Textures(textures.images.flip(0), "more noise")
    variants = [
        thick(digits, textures),
        thick(other_digits, textures),
        thick(digits, other_textures),
        thick(digits, textures, count=11),
        thick(digits, textures, size=13),
        thick(digits, textures, scales=None),
        thick(digits, textures, scales=(1.0, 1.5)),
        thick(digits, textures, seed=1),
    ]
    prints = [dataset.fingerprint() for dataset in variants]
    assert len(set(prints)) == 8
    assert thick(digits, textures).fingerprint() == prints[0]
    assert len(prints[0]) == 64


def test_the_source_names_the_textures(digits, textures):
    assert thick(digits, textures).source == "noise, of more noise"


def test_wrong_arguments_are_refused(digits, textures):
    with pytest.raises(ValueError, match="textures: got 40 x 40, needs 75 x 75 for pieces of 40 x 40 at any angle and"):
        thick(digits, textures, size=40)
    with pytest.raises(ValueError, match="size: got 0, needs 1 or more"):
        thick(digits, textures, size=0)
    with pytest.raises(ValueError, match=r"scales: got \(2.0, 1.0\)"):
        thick(digits, textures, scales=(2.0, 1.0))
    with pytest.raises(ValueError, match="count: got 0, needs 1 or more"):
        thick(digits, textures, 0)
    with pytest.raises(ValueError, match="seed: got -1, needs 0 or more"):
        thick(digits, textures, seed=-1)


def test_images_at_once_are_those_on_request(digits, textures, monkeypatch):
    monkeypatch.setattr("fastladder.data.thick_digits.CHUNK", 4)
    dataset = thick(digits, textures)
    images, batch = dataset.images_at_once(), dataset[:]
    torch.testing.assert_close(images.images, batch.image)
    assert torch.equal(images.groups, batch.groups)
    assert torch.equal(images.labels, batch.label)
    assert images.source == dataset.source


def test_white_stays_within_the_range():
    """Interpolation between pixels of 1 may come to more."""
    white = Textures(torch.ones(2, 40, 40), "white")
    blank = Digits(torch.full((1, 6, 6), 0.3), torch.zeros(1, dtype=torch.int64), "grey")
    assert thick(blank, white, 50)[:].image.max() <= 1


@pytest.mark.parametrize(("source", "size"), [("mnist", 96), ("bundled", 40)])
def test_splits_share_no_digit_and_textures_are_turned_in_training_only(source, size, monkeypatch):
    parts = [Digits(torch.full((3, 28, 28), shade), torch.arange(3), "grey") for shade in (0.45, 0.5, 0.55)]
    monkeypatch.setattr("fastladder.data.thick_digits.mnist_splits", lambda *_, **__: Splits(*parts))
    monkeypatch.setattr("fastladder.data.thick_digits.bundled_digits", lambda: parts[0])
    monkeypatch.setattr("fastladder.data.thick_digits.split_digits", lambda digits: Splits(*parts))
    shades = torch.rand(2, 1, 200, generator=torch.Generator().manual_seed(0))
    stripes = Textures(shades.expand(2, 200, 200).contiguous(), "upright stripes")
    splits = thick_digit_splits(source, stripes, (30, 4, 5))
    assert [len(part) for part in splits] == [30, 4, 5]
    assert splits.train.images.shape == (30, size, size)
    # In the middle of an image the digit is of one shade, so that upright stripes stay upright stripes.
    middle = [part.images[:, size // 3 : -size // 3, size // 3 : -size // 3].var(1).amax() for part in splits]
    assert middle[0] > 0.01
    assert max(middle[1:]) < 1e-6
    again, other = (thick_digit_splits(source, stripes, (30, 4, 5), seed=seed) for seed in (0, 1))
    assert torch.equal(again.train.images, splits.train.images)
    assert not torch.equal(other.train.images, splits.train.images)
    assert not torch.equal(splits.valid.images, splits.test.images[:4])


def test_wrong_splits_are_refused(textures):
    with pytest.raises(ValueError, match='source: got "svhn", needs "mnist" or "bundled"'):
        thick_digit_splits("svhn", textures)
    with pytest.raises(ValueError, match="sizes: got"):
        thick_digit_splits("bundled", textures, (1, 0, 1))
    with pytest.raises(ValueError, match="textures: got 40 x 40, needs 75 x 75"):
        thick_digit_splits("bundled", textures, (1, 1, 1))


def test_the_papers_images(mnist_folder, brodatz_folder):
    images = TexturedThickDigits(thickened(mnist(mnist_folder)[1]), brodatz(brodatz_folder), count=200)[:]
    assert images.image.shape == (200, 96, 96)
    # A digit is told by its texture: on average it is neither lighter nor darker than its background.
    inside, outside = (images.image[images.groups == group] for group in (2, 1))
    assert inside.mean().item() == pytest.approx(outside.mean().item(), abs=0.02)
    assert inside.std().item() == pytest.approx(outside.std().item(), abs=0.02)
    shares = torch.stack([(images.groups == group).float().mean() for group in range(3)])
    torch.testing.assert_close(shares, torch.tensor([0.025, 0.72, 0.255]), atol=0.03, rtol=0)
