import numpy as np
import pytest
import torch

from fastladder.data import GroupedImages
from fastladder.data.grouped import check_sizes


def random_images(count=6, labels=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 4, 5, generator=generator)
    groups = torch.randint(4, (count, 4, 5), generator=generator).byte()
    digits = torch.randint(10, (count, labels), generator=generator) if labels else None
    return GroupedImages(images, groups, digits, "noise")


@pytest.mark.parametrize("indices", [[1, 3], np.array([1, 3]), torch.tensor([1, 3]), slice(1, 4, 2)], ids=type)
def test_subset(indices):
    images = random_images()
    subset = images.subset(indices)
    assert len(subset) == 2
    for name in ("images", "groups", "labels"):
        whole = getattr(images, name)
        assert torch.equal(getattr(subset, name), torch.stack([whole[1], whole[3]]))
    assert random_images(labels=0).subset(indices).labels is None


def test_subset_keeps_the_order_asked_for():
    images = random_images()
    assert torch.equal(images.subset([3, 1]).groups, torch.stack([images.groups[3], images.groups[1]]))


def test_fingerprint_is_of_the_content():
    given = random_images()
    same = GroupedImages(given.images.clone(), given.groups.clone(), given.labels.clone(), "another name")
    assert given.fingerprint() == same.fingerprint()
    assert len(given.fingerprint()) == 64
    images, groups, labels = given.images.clone(), given.groups.clone(), given.labels.clone()
    images[4, 2, 2] = 1 - images[4, 2, 2]
    groups[4, 2, 2] += 1
    labels[4, 1] = (labels[4, 1] + 1) % 10
    others = [
        GroupedImages(images, given.groups, given.labels, ""),
        GroupedImages(given.images, groups, given.labels, ""),
        GroupedImages(given.images, given.groups, labels, ""),
        GroupedImages(given.images, given.groups, None, ""),
        GroupedImages(given.images.reshape(6, 5, 4), given.groups.reshape(6, 5, 4), given.labels, ""),
        given.subset(slice(5)),
    ]
    assert len({given.fingerprint(), *(other.fingerprint() for other in others)}) == 7


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": torch.zeros(6, 20)}, r"images: got torch.float32 of shape \(6, 20\), needs float32 \(M, H, W\)"),
        ({"images": torch.zeros(6, 4, 5).double()}, "images: got torch.float64 of shape"),
        ({"images": torch.zeros(0, 4, 5)}, r"images: got shape \(0, 4, 5\), needs one image of one pixel at least"),
        ({"images": torch.zeros(6, 0, 5)}, r"images: got shape \(6, 0, 5\)"),
        ({"images": torch.full((6, 4, 5), 1.5)}, r"images: got values in \[1.5, 1.5\], needs \[0, 1\]"),
        ({"images": torch.full((6, 4, 5), torch.nan)}, "images: got values in"),
        (
            {"groups": torch.zeros(6, 5, 4).byte()},
            r"groups: got torch.uint8 of shape \(6, 5, 4\), needs uint8 \(6, 4, 5\)",
        ),
        ({"groups": torch.zeros(6, 4, 5).long()}, "groups: got torch.int64 of shape"),
        (
            {"labels": torch.zeros(6).long()},
            r"labels: got torch.int64 of shape \(6,\), needs int64 \(6, 1\) or \(6, 2\)",
        ),
        ({"labels": torch.zeros(6, 3).long()}, r"labels: got torch.int64 of shape \(6, 3\)"),
        ({"labels": torch.zeros(5, 2).long()}, r"labels: got torch.int64 of shape \(5, 2\)"),
        ({"labels": torch.zeros(6, 2)}, "labels: got torch.float32 of shape"),
        ({"labels": torch.full((6, 1), 10)}, r"labels: got values in \[10, 10\], needs 0 to 9"),
        ({"labels": torch.full((6, 1), -1)}, r"labels: got values in \[-1, -1\]"),
    ],
)
def test_wrong_images_are_refused(changed, message):
    given = random_images()
    fields = {"images": given.images, "groups": given.groups, "labels": given.labels}
    with pytest.raises(ValueError, match=message):
        GroupedImages(**{**fields, **changed}, source="wrong")


@pytest.mark.parametrize("sizes", [(5, 5), (5, 5, 0), (5, 5, 5, 5)])
def test_sizes_that_make_no_splits_are_refused(sizes):
    with pytest.raises(ValueError, match=r"sizes: got \(5, 5.*needs three numbers above 0: train, valid and test"):
        check_sizes(sizes)
