import pytest
import torch

from fastladder.data import Digits, bundled_digits, enlarged, thickened


def test_enlarged():
    digits = bundled_digits().subset(slice(5))
    large = enlarged(digits)
    assert large.images.shape == (5, 20, 20)
    assert torch.equal(large.labels, digits.labels)
    assert large.images.count_nonzero() == large.images[:, 2:18, 2:18].count_nonzero()
    padded = torch.nn.functional.pad(digits.images[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    for i in range(16):
        for j in range(16):
            # A quarter of a pixel above or below the middle of its own, and left or right of it.
            row, other_row = i // 2 + 1, i // 2 + (2 if i % 2 else 0)
            column, other_column = j // 2 + 1, j // 2 + (2 if j % 2 else 0)
            near = 0.75 * padded[:, row, column] + 0.25 * padded[:, row, other_column]
            far = 0.75 * padded[:, other_row, column] + 0.25 * padded[:, other_row, other_column]
            expected = (5 * (0.75 * near + 0.25 * far - 0.5) + 0.5).clamp(0, 1)
            torch.testing.assert_close(large.images[:, 2 + i, 2 + j], expected)


def test_most_pixels_of_an_enlarged_digit_belong_to_it_or_not_at_all():
    images = enlarged(bundled_digits()).images
    assert ((images > 0.1) & (images < 0.9)).float().mean() < 0.4 * (images > 0.9).float().mean()


@pytest.mark.parametrize(("size", "margin", "whole"), [(14, 0, 14), (16, 3, 22), (8, 1, 10)])
def test_another_size_and_margin(size, margin, whole):
    large = enlarged(bundled_digits().subset(slice(5)), size, margin)
    assert large.images.shape == (5, whole, whole)
    inner = slice(margin, margin + size)
    assert large.images.count_nonzero() == large.images[:, inner, inner].count_nonzero()
    assert large.source == "scikit-learn digits, enlarged"


def test_a_digit_of_the_same_size_only_gains_contrast():
    digits = bundled_digits().subset(slice(5))
    torch.testing.assert_close(enlarged(digits, 8, 0).images, (5 * (digits.images - 0.5) + 0.5).clamp(0, 1))


def test_digits_that_are_not_square():
    tall = Digits(torch.ones(1, 6, 3), torch.zeros(1).long(), "drawn")
    assert enlarged(tall, margin=1).images.shape == (1, 14, 8)


def test_thickened_against_loops():
    images = torch.rand(2, 6, 5, generator=torch.Generator().manual_seed(0))
    digits = Digits(images, torch.tensor([3, 7]), "noise")
    thick = thickened(digits)
    for n in range(2):
        for i in range(6):
            for j in range(5):
                around = images[n, max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
                assert thick.images[n, i, j] == around.max()
    assert thick.labels.tolist() == [3, 7]
    assert thick.source == "noise, thickened"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"size": 0}, "size: got 0, needs 1 or more"), ({"margin": -1}, "margin: got -1, needs 0 or more")],
)
def test_wrong_sizes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        enlarged(bundled_digits(), **options)
