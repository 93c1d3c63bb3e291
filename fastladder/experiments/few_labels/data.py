"""Digits, some of them with labels."""

from typing import Literal

import torch

from fastladder.data import Digits, GroupedImages, GroupedSplits, bundled_digits, mnist_splits, split_digits
from fastladder.experiments.classification.data import LabelledData
from fastladder.experiments.experiment import Configuration


def image_shape(configuration: Configuration) -> tuple[int, int]:
    """(H, W)."""
    return (28, 28) if configuration["data"].get("source", "mnist") == "mnist" else (8, 8)


def digits(
    source: Literal["bundled", "mnist"] = "mnist",
    sizes: tuple[int, int, int] = (50_000, 10_000, 10_000),
    batch_size: int = 100,
    labels: int | None = None,
    unlabelled: bool = False,
    folder: str | None = None,
    download: bool = False,
    seed: int = 0,
) -> LabelledData:
    """Batches of the first digits of each split.

    Args:
        source: "bundled" or "mnist".
        sizes: how many digits train, valid and test have.
        batch_size, labels, unlabelled, seed: as for `fastladder.experiments.classification.data.LabelledData`.
        folder: where MNIST lies; None looks at FASTLADDER_DATA.
        download: fetch MNIST into that folder if it is not there.

    Raises:
        ValueError: there are not so many digits.
    """
    splits = mnist_splits(folder, download=download) if source == "mnist" else split_digits(bundled_digits())
    for name, size, part in zip(("train", "valid", "test"), sizes, splits, strict=True):
        if not 1 <= size <= len(part):
            raise ValueError(f"sizes: got {size} for {name}, needs 1 to {len(part)} of {part.source}")
    parts = [ungrouped(part.subset(slice(size))) for part, size in zip(splits, sizes, strict=True)]
    return LabelledData(GroupedSplits(*parts), batch_size, labels, unlabelled, seed)


def ungrouped(part: Digits) -> GroupedImages:
    """Digits, none of whose pixels is scored."""
    groups = torch.zeros_like(part.images, dtype=torch.uint8)
    return GroupedImages(part.images, groups, part.labels[:, None], part.source)
