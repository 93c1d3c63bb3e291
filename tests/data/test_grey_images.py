"""Grey images are whole numbers or in [0, 1], every one has a label, and digits are such images."""

import pytest
import torch

from fastladder.data import Digits, GreyImages


def grey(dtype=torch.uint8, count=4):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 3, 5), generator=generator, dtype=torch.uint8)
    images = images if dtype == torch.uint8 else images / 255
    return GreyImages(images, torch.arange(count) + 40, "made up")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_a_subset_is_of_images_and_labels(dtype):
    images = grey(dtype)
    some = images.subset([3, 1])
    assert (len(images), len(some), some.source) == (4, 2, "made up")
    assert some.labels.tolist() == [43, 41]
    assert some.images.dtype == dtype
    assert torch.equal(some.images, images.images[[3, 1]])
    assert images.subset(slice(1, None)).labels.tolist() == [41, 42, 43]


def test_the_fingerprint_is_of_the_content_alone():
    images = grey()
    same = GreyImages(images.images.clone(), images.labels.clone(), "elsewhere")
    assert same.fingerprint() == images.fingerprint()
    others = [
        GreyImages(images.images, images.labels + 1, "made up"),
        GreyImages(255 - images.images, images.labels, "made up"),
        GreyImages(images.images.reshape(4, 5, 3), images.labels, "made up"),
        grey(torch.float32),
        images.subset(slice(3)),
    ]
    assert len({other.fingerprint() for other in others} | {images.fingerprint()}) == 6


def test_digits_are_grey_images_of_the_same_fingerprint():
    images = grey(torch.float32)
    digits = Digits(images.images, images.labels - 40, "digits")
    assert isinstance(digits, GreyImages)
    assert isinstance(digits.subset([0]), Digits)
    assert digits.fingerprint() == GreyImages(digits.images, digits.labels, "images").fingerprint()


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (torch.zeros(3, 8), torch.zeros(3).long(), r"images: got torch.float32 of shape \(3, 8\), needs \(M, h, w\)"),
        (torch.zeros(3, 8, 8).double(), torch.zeros(3).long(), "images: got torch.float64 .* needs uint8 or float32"),
        (torch.zeros(3, 8, 8), torch.zeros(2).long(), r"labels: got torch.int64 of shape \(2,\), needs int64 \(3,\)"),
        (torch.zeros(3, 8, 8).byte(), torch.zeros(3), "labels: got torch.float32"),
        (torch.full((3, 8, 8), 1.5), torch.zeros(3).long(), r"images: got values in \[1.5, 1.5\], needs \[0, 1\]"),
        (torch.full((3, 8, 8), torch.nan), torch.zeros(3).long(), "images: got values in"),
        (torch.zeros(3, 8, 8), torch.full((3,), -1), r"labels: got values in \[-1, -1\], needs 0 or more"),
        (torch.zeros(0, 8, 8).byte(), torch.zeros(0).long(), "images: got none"),
    ],
)
def test_what_is_no_image_with_a_label_is_refused(images, labels, words):
    with pytest.raises(ValueError, match=words):
        GreyImages(images, labels, "made up")
