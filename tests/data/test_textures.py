import pytest
import torch

from fastladder.data import DataError, Digits, bundled_digits, enlarged, texture_bank, texture_splits, textured_digits
from fastladder.data import textures as module
from fastladder.data.textures import FREQUENCIES, composite


def digits_of(*images):
    return Digits(torch.stack(images), torch.arange(len(images)) % 10, "drawn")


@pytest.fixture
def blocks():
    """Ten digits of 12 x 12, each a full block of 4 x 4 somewhere else, and its own label."""
    images = torch.zeros(10, 12, 12)
    for index in range(10):
        row, column = divmod(index, 5)
        images[index, 2 + 4 * row : 6 + 4 * row, 2 + column : 6 + column] = 1
    return Digits(images, torch.arange(10), "blocks")


@pytest.fixture
def record(monkeypatch):
    """The textures and mattes that images were composed of."""
    seen = []

    def recording(textures, mattes):
        seen.append((textures, mattes))
        return composite(textures, mattes)

    monkeypatch.setattr(module, "composite", recording)
    return seen


def where_cut(piece, bank):
    """(20, rows, columns) bool: where which texture looks just like the piece."""
    height, width = piece.shape
    return (bank.unfold(1, height, 1).unfold(2, width, 1) == piece).all((3, 4))


def test_the_frequencies():
    expected = []
    for index, down in enumerate([4, 10, 21, 32, 37]):
        expected += [(down, index), (down, index + 4), (down, index + 8), (down, index + 12)]
    assert list(FREQUENCIES) == expected
    assert len(set(FREQUENCIES)) == 20


def test_textures_are_pure_frequencies():
    bank = texture_bank()
    assert bank.shape == (20, 38, 38)
    assert bank.dtype == torch.float32
    assert torch.equal(bank.amin((1, 2)), torch.zeros(20))
    assert torch.equal(bank.amax((1, 2)), torch.ones(20))
    for texture, (down, across) in zip(bank, FREQUENCIES, strict=True):
        spectrum = torch.fft.fft2(texture.double())
        strong = {tuple(place) for place in (spectrum.abs() > 1e-3).nonzero().tolist()}  # float32 leaves 1e-5
        assert strong == {(0, 0), (down, across), (-down % 38, -across % 38)}
        # It is the real part of the inverse transform of that one coefficient.
        single = torch.zeros(38, 38, dtype=torch.complex128)
        single[down, across] = spectrum[down, across]
        wave = torch.fft.ifft2(single).real
        wave = (wave - wave.min()) / (wave.max() - wave.min())
        torch.testing.assert_close(texture.double(), wave, atol=1e-6, rtol=0)


def test_phases_differ():
    spectra = torch.fft.fft2(texture_bank().double())
    phases = torch.stack([spectrum[place].angle() for spectrum, place in zip(spectra, FREQUENCIES, strict=True)])
    assert len(phases.round(decimals=3).unique()) == 20


def test_composite_against_loops():
    generator = torch.Generator().manual_seed(0)
    textures = torch.rand(3, 4, 5, 6, generator=generator, dtype=torch.float64)
    mattes = torch.rand(3, 3, 5, 6, generator=generator, dtype=torch.float64)
    image, shares = composite(textures, mattes)
    for n in range(3):
        for i in range(5):
            for j in range(6):
                value, share = textures[n, 0, i, j].item(), [1.0]
                for layer in range(1, 4):
                    a = mattes[n, layer - 1, i, j].item()
                    value = a * textures[n, layer, i, j].item() + (1 - a) * value
                    share = [(1 - a) * below for below in share] + [a]
                assert image[n, i, j].item() == pytest.approx(value, abs=1e-12)
                assert shares[n, :, i, j].tolist() == pytest.approx(share, abs=1e-12)
    torch.testing.assert_close(shares.sum(1), torch.ones(3, 5, 6, dtype=torch.float64))
    torch.testing.assert_close((shares * textures).sum(1), image)


@pytest.mark.parametrize("objects", [1, 2])
def test_images_are_composed_of_textures_through_digits(record, objects):
    digits = enlarged(bundled_digits())
    images = textured_digits(digits, 60, objects, seed=0)
    ((textures, mattes),) = record
    assert textures.shape == (60, objects + 1, 20, 20)
    assert mattes.shape == (60, objects, 20, 20)
    assert images.labels.shape == (60, objects)
    image, shares = composite(textures, mattes)
    assert torch.equal(images.images, image)
    torch.testing.assert_close(shares.sum(1), torch.ones(60, 20, 20))
    for layer in range(objects + 1):
        assert torch.equal(images.groups == layer + 1, shares[:, layer] > 0.9)
    assert torch.equal(images.groups == 0, (shares <= 0.9).all(1))
    assert (images.groups == 0).any()


def test_one_digit_is_not_moved(record, blocks):
    images = textured_digits(blocks, 40, 1, seed=0)
    ((_, mattes),) = record
    for matte, label in zip(mattes[:, 0], images.labels[:, 0], strict=True):
        assert torch.equal(matte, blocks.images[label])
    assert torch.equal(images.groups, 1 + mattes[:, 0].byte())


def test_two_digits_are_moved_apart_in_either_order(record, blocks):
    images = textured_digits(blocks, 200, 2, seed=0)
    ((_, mattes),) = record
    lower_is_left = 0
    for pair, groups, labels in zip(mattes, images.groups, images.labels.tolist(), strict=True):
        left, right = (torch.zeros(2, 12, 12) for _ in range(2))
        left[:, :-2, :-2] = blocks.images[labels][:, 2:, 2:]
        right[:, 2:, 2:] = blocks.images[labels][:, :-2, :-2]
        one_way = torch.equal(pair[0], left[0]) and torch.equal(pair[1], right[1])
        other_way = torch.equal(pair[0], right[0]) and torch.equal(pair[1], left[1])
        assert one_way != other_way
        lower_is_left += one_way
        # The upper digit hides the lower one.
        assert torch.equal(groups, torch.where(pair[1] == 1, 3, torch.where(pair[0] == 1, 2, 1)).byte())
    # A fair coin thrown 200 times: five standard deviations.
    assert abs(lower_is_left - 100) < 5 * 50**0.5


def test_layers_have_different_textures_cut_anywhere(record, blocks):
    count = 80
    textured_digits(blocks, count, 2, seed=0)
    ((textures, _),) = record
    bank = texture_bank()
    inside = torch.stack([where_cut(piece, bank) for piece in textures.flatten(0, 1)])
    assert inside.shape == (3 * count, 20, 27, 27)
    found = inside.any((2, 3))
    assert (found.sum(1) == 1).all()
    which = found.int().argmax(1).unflatten(0, (count, 3))
    assert all(len(set(layers)) == 3 for layers in which.tolist())
    for layer in range(3):
        share = which[:, layer].bincount(minlength=20) / count
        # Five standard deviations of a binomial share.
        assert (share - 1 / 20).abs().max() < 5 * (1 / 20 * 19 / 20 / count) ** 0.5
    single = inside.sum((1, 2, 3)) == 1  # a wave repeats, so that some pieces could have been cut at several places
    row, column = inside[single].any(1).nonzero()[:, 1:].unbind(1)
    for place in (row, column):
        assert place.min() == 0
        assert place.max() == 26


@pytest.mark.parametrize("objects", [1, 2])
@pytest.mark.parametrize("count", [7, 10, 35])
def test_every_digit_is_shown_as_often(blocks, objects, count):
    labels = textured_digits(blocks, count, objects, seed=0).labels
    for layer in labels.unbind(1):
        often = layer.bincount(minlength=10)
        assert often.max() - often.min() <= 1
    if objects == 2:
        assert not torch.equal(labels[:, 0], labels[:, 1])


def test_the_seed_alone_decides(blocks, monkeypatch):
    state = torch.get_rng_state()
    first, again, other = (textured_digits(blocks, 25, 2, seed=seed).fingerprint() for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert torch.equal(torch.get_rng_state(), state)
    monkeypatch.setattr(module, "CHUNK", 10)
    assert textured_digits(blocks, 25, 2, seed=0).fingerprint() == first


def test_images_that_are_not_square():
    tall = digits_of(torch.ones(20, 9), torch.zeros(20, 9))
    images = textured_digits(tall, 4, 2, seed=0)
    assert images.images.shape == images.groups.shape == (4, 20, 9)


def test_digits_as_large_as_a_texture_show_all_of_it(record):
    textured_digits(digits_of(torch.zeros(38, 38)), 5, 1, seed=0)
    ((textures, _),) = record
    bank = texture_bank()
    assert all(any(torch.equal(piece, texture) for texture in bank) for piece in textures.flatten(0, 1))


@pytest.mark.parametrize("objects", [1, 2])
def test_bundled_splits(record, objects):
    sizes = (1300, 200, 400)  # more than there are digits, so that every digit is shown
    splits = texture_splits("bundled", objects, sizes)
    assert [part.images.shape for part in splits] == [(size, 20, 20) for size in sizes]
    assert [part.labels.shape for part in splits] == [(size, objects) for size in sizes]
    # Moved ink is not lost, so the sorted ink of a digit identifies it, wherever it is.
    batches = [record[:2], record[2:3], record[3:4]]  # the training images come in two chunks
    shown = [
        {tuple(ink) for _, mattes in batch for ink in mattes.flatten(2).sort(2).values.flatten(0, 1).tolist()}
        for batch in batches
    ]
    original = {tuple(ink) for ink in enlarged(bundled_digits()).images.flatten(1).sort(1).values.tolist()}
    assert shown[0] | shown[1] | shown[2] == original
    assert not shown[0] & shown[1]
    assert not shown[0] & shown[2]
    assert not shown[1] & shown[2]


@pytest.mark.usefixtures("noise_is_mnist")
def test_mnist_splits_take_their_own_digits(tmp_path, write_mnist, monkeypatch):
    write_mnist(tmp_path)
    given = []

    def recording(digits, count, objects, *, seed):
        given.append((digits, count, objects, seed))
        return textured_digits(digits, count, objects, seed=seed)

    monkeypatch.setattr(module, "textured_digits", recording)
    splits = texture_splits("mnist", 2, (6, 4, 2), folder=tmp_path)
    assert [part.images.shape for part in splits] == [(6, 28, 28), (4, 28, 28), (2, 28, 28)]
    expected = module.mnist_splits(tmp_path)
    assert [digits.fingerprint() for digits, *_ in given] == [part.fingerprint() for part in expected]
    assert [(count, objects) for _, count, objects, _ in given] == [(6, 2), (4, 2), (2, 2)]
    assert len({seed for *_, seed in given}) == 3


def test_splits_follow_the_seed():
    def fingerprints(seed):
        return [part.fingerprint() for part in texture_splits("bundled", 2, (5, 5, 5), seed=seed)]

    assert fingerprints(0) == fingerprints(0)
    assert len({*fingerprints(0), *fingerprints(1)}) == 6


def test_missing_mnist(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        texture_splits("mnist", 1, folder=tmp_path / "missing")


def test_real_mnist(mnist_folder):
    splits = texture_splits("mnist", 2, (300, 5, 5), folder=mnist_folder)
    # Over images the mean has a standard deviation of 0.007, so that of 300 is good to 0.0004.
    assert splits.train.images.mean().item() == pytest.approx(0.5, abs=0.002)
    assert splits.train.groups.unique().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"count": 0}, "count: got 0, needs 1 or more"),
        ({"objects": 0}, "objects: got 0, needs 1 or 2"),
        ({"objects": 3}, "objects: got 3, needs 1 or 2"),
        ({"seed": -1}, "seed: got -1, needs 0 or more"),
        ({"digits": digits_of(torch.zeros(39, 20))}, "digits: got images of 39 x 20, needs 3 to 38 both ways"),
        ({"digits": digits_of(torch.zeros(2, 20))}, "digits: got images of 2 x 20, needs 3 to 38 both ways"),
    ],
)
def test_wrong_arguments_are_refused(blocks, changed, message):
    with pytest.raises(ValueError, match=message):
        textured_digits(**{"digits": blocks, "count": 5, "objects": 2, "seed": 0, **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source": "MNIST"}, 'source: got "MNIST", needs "mnist" or "bundled"'),
        ({"sizes": (5, 5)}, r"sizes: got \(5, 5\), needs three numbers above 0"),
        ({"seed": -1}, "seed: got -1, needs 0 or more"),
        ({"objects": 3}, "objects: got 3, needs 1 or 2"),
    ],
)
def test_wrong_splits_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        texture_splits(**{"source": "bundled", "objects": 1, "sizes": (5, 5, 5), **changed})
