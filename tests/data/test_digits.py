import sys

import numpy as np
import pytest
import torch

from fastladder.data import DataError, Digits, balanced_draw, bundled_digits, split_digits


def random_digits(count=20, size=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, size, size, generator=generator)
    return Digits(images, torch.randint(10, (count,), generator=generator), "noise")


def test_bundled_digits_are_scikit_learns():
    digits = bundled_digits()
    assert digits.images.shape == (1797, 8, 8)
    assert digits.images.dtype == torch.float32
    assert digits.images.min() == 0
    assert digits.images.max() == 1
    assert digits.labels.bincount().tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # The first digit is a zero; its pixels are sixteenths.
    assert digits.labels[0] == 0
    assert (digits.images[0, 0] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_bundled_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"scikit-learn: pip install 'fastladder\[train\]'"):
        bundled_digits()


def test_halved_is_the_mean_of_four():
    digits = random_digits()
    halved = digits.halved()
    slow = [
        [[digits.images[m, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean() for j in range(3)] for i in range(3)]
        for m in range(len(digits))
    ]
    torch.testing.assert_close(halved.images, torch.tensor(slow))
    assert torch.equal(halved.labels, digits.labels)


def test_halved_needs_even_sizes():
    with pytest.raises(ValueError, match="got 5 x 5, halving needs an even height and width"):
        random_digits(size=5).halved()


@pytest.mark.parametrize("indices", [[1, 3], np.array([1, 3]), torch.tensor([1, 3]), slice(1, 4, 2)], ids=type)
def test_subset(indices):
    digits = random_digits()
    subset = digits.subset(indices)
    assert torch.equal(subset.images, torch.stack([digits.images[1], digits.images[3]]))
    assert subset.labels.tolist() == [digits.labels[1], digits.labels[3]]


def test_subset_keeps_the_order_asked_for():
    digits = random_digits()
    assert torch.equal(digits.subset([3, 1]).images, torch.stack([digits.images[3], digits.images[1]]))


def test_repeated():
    digits = random_digits(4)
    repeated = digits.repeated(3)
    assert len(repeated) == 12
    for start in (0, 4, 8):
        assert repeated.subset(slice(start, start + 4)).fingerprint() == digits.fingerprint()
    assert digits.repeated(1).fingerprint() == digits.fingerprint()
    with pytest.raises(ValueError, match="images: got none"):
        digits.repeated(0)


def test_joined():
    one, other = random_digits(4, seed=0), random_digits(3, seed=1)
    joined = one.joined(other)
    assert len(joined) == 7
    assert joined.subset(slice(4)).fingerprint() == one.fingerprint()
    assert joined.subset(slice(4, 7)).fingerprint() == other.fingerprint()


def test_joined_needs_images_of_one_size():
    message = r"other: got images of shape \(20, 5, 5\), needs \(M, 6, 6\) like these"
    with pytest.raises(ValueError, match=message):
        random_digits(size=6).joined(random_digits(size=5))


def test_fingerprint_is_of_the_content():
    digits = random_digits()
    same = Digits(digits.images.clone(), digits.labels.clone(), "another name")
    assert digits.fingerprint() == same.fingerprint()
    assert len(digits.fingerprint()) == 64
    images, labels = digits.images.clone(), digits.labels.clone()
    images[4, 2, 2] = 1 - images[4, 2, 2]
    labels[4] = (labels[4] + 1) % 10
    others = [
        Digits(images, digits.labels, ""),
        Digits(digits.images, labels, ""),
        Digits(digits.images.reshape(20, 4, 9), digits.labels, ""),
        digits.subset(slice(19)),
    ]
    assert len({digits.fingerprint(), *(other.fingerprint() for other in others)}) == 5


def test_fingerprint_of_a_view_is_that_of_its_copy():
    images = random_digits().images.transpose(1, 2)
    labels = random_digits().labels
    assert Digits(images, labels, "").fingerprint() == Digits(images.contiguous(), labels, "").fingerprint()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(3, 8), torch.zeros(3).long(), r"images: got torch.float32 of shape \(3, 8\), needs"),
        (torch.zeros(3, 8, 8).byte(), torch.zeros(3).long(), "images: got torch.uint8"),
        (torch.zeros(3, 8, 8), torch.zeros(2).long(), r"labels: got torch.int64 of shape \(2,\), needs int64 \(3,\)"),
        (torch.zeros(3, 8, 8), torch.zeros(3), "labels: got torch.float32"),
        (torch.full((3, 8, 8), 255.0), torch.zeros(3).long(), r"images: got values in \[255, 255\], needs \[0, 1\]"),
        (torch.full((3, 8, 8), torch.nan), torch.zeros(3).long(), "images: got values in"),
        (torch.zeros(3, 8, 8), torch.full((3,), 10), r"labels: got values in \[10, 10\], needs 0 to 9"),
        (torch.zeros(0, 8, 8), torch.zeros(0).long(), "images: got none"),
    ],
)
def test_wrong_digits_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        Digits(images, labels, "wrong")


def test_split_is_a_partition_with_even_classes():
    digits = bundled_digits()
    digits.images[:, 0, 0] = torch.arange(1797) / 1797  # marks every digit
    splits = split_digits(digits)
    assert [len(part) for part in splits] == [1258, 180, 359]
    marks = torch.cat([part.images[:, 0, 0] for part in splits])
    assert torch.equal(marks.sort().values, digits.images[:, 0, 0])
    total = digits.labels.bincount()
    for part, fraction in zip(splits, (0.7, 0.1, 0.2), strict=True):
        # A run of digits sorted by standing misses an exact share by less than one digit at each of its two ends.
        assert (part.labels.bincount(minlength=10) - fraction * total).abs().max() < 2


def test_split_draws_from_everywhere():
    """The bundled digits lie in blocks by writer, so every part must come from the whole length of the set."""
    digits = bundled_digits()
    digits.images[:, 0, 0] = torch.arange(1797) / 1797
    for part in split_digits(digits):
        deciles = (part.images[:, 0, 0] * 10).long().bincount(minlength=10)
        assert deciles.min() > len(part) / 20


def test_split_depends_on_the_seed_alone():
    digits = random_digits(200)
    first, again, other = (split_digits(digits, seed=seed).train.fingerprint() for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.5, 0.5, 0.5), (1.0, 0.0, 0.0)])
def test_wrong_fractions_are_refused(fractions):
    with pytest.raises(ValueError, match=r"fractions: got .* needs three numbers above 0 that add to 1"):
        split_digits(random_digits(), fractions)


@pytest.mark.parametrize("labels", [10, 100, 1000])
def test_a_balanced_draw_has_as_many_of_every_class(labels):
    digits = bundled_digits()
    chosen = balanced_draw(digits, labels)
    assert chosen.shape == (1797,)
    assert chosen.dtype == torch.bool
    assert digits.labels[chosen].bincount().tolist() == 10 * [labels // 10]


def test_a_balanced_draw_may_take_a_class_whole():
    labels = torch.tensor([1, 1, 0, 7, 0, 7, 7])
    chosen = balanced_draw(Digits(torch.zeros(7, 2, 2), labels, "blank"), 6)
    assert chosen[:3].all()
    assert chosen[4]
    assert chosen[[3, 5, 6]].sum() == 2


def test_a_balanced_draw_depends_on_the_seed_alone():
    digits = bundled_digits()
    first, again, other = (balanced_draw(digits, 100, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_balanced_draw_chooses_every_digit_as_often():
    digits = Digits(torch.zeros(40, 2, 2), torch.arange(40) % 2, "blank")
    often = sum(balanced_draw(digits, 10, seed).float() for seed in range(400))
    # Every digit is chosen with probability 1/4: 100 times of 400, and 40 binomial counts stay within 5 deviations.
    assert often.sum() == 4000
    assert (often - 100).abs().max() < 5 * (400 * 0.25 * 0.75) ** 0.5


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (0, "labels: got 0, a balanced draw needs a multiple of the 3 classes, above 0"),
        (-3, "labels: got -3, a balanced draw needs a multiple of the 3 classes, above 0"),
        (2, "labels: got 2, a balanced draw needs a multiple of the 3 classes, above 0"),
        (4, "labels: got 4, a balanced draw needs a multiple of the 3 classes, above 0"),
        (9, "labels: got 9, needs 3 digits of every class, but there are 2 digits of class 5"),
    ],
)
def test_a_draw_that_cannot_be_balanced_is_refused(labels, message):
    digits = Digits(torch.zeros(9, 2, 2), torch.tensor([1, 5, 8, 1, 5, 8, 1, 8, 8]), "blank")
    with pytest.raises(ValueError, match=message):
        balanced_draw(digits, labels)
