"""The images of a run: which, and in which batches."""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fastladder.data import (
    Digits,
    GroupedImages,
    GroupedSplits,
    bundled_digits,
    draw_shapes,
    mnist_splits,
    shapes,
    split_digits,
    texture_splits,
)
from fastladder.experiments.data import BatchedData
from fastladder.experiments.seeding import mixed

TEST_BATCH = 1000  # the paper's code has batches of so many, whose statistics batch normalisation takes
TRANSFER_SEED = 1_000_003  # of test images with another number of objects than the training's


class GroupedBatch(NamedTuple):
    """N images.

    Attributes:
        image: (N, H, W) float32 in [0, 1]: the input, and without noise the target.
        groups: (N, H, W) uint8, the true group of every pixel, 0 where it is not scored. No model is shown it.
        label: (N, L) int64, the digits of an image, or None.
    """

    image: Tensor
    groups: Tensor
    label: Tensor | None


class GroupedDataset(Dataset[GroupedBatch]):
    """Batches of grouped images, on a device; `dataset[indices]` is one.

    Args:
        images: which.
        device: where they are kept.
    """

    def __init__(self, images: GroupedImages, device: torch.device | str) -> None:
        labels = None if images.labels is None else images.labels.to(device)
        self.tensors = (images.images.to(device), images.groups.to(device), labels)
        self.source = images

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, indices: Tensor) -> GroupedBatch:
        image, groups, labels = self.tensors
        return GroupedBatch(image[indices], groups[indices], None if labels is None else labels[indices])


class GroupedData(BatchedData):
    """Batches of images of shapes or textured digits.

    Args:
        dataset: "shapes", three binary shapes; "textures1" or "textures2", one or two textured digits; "digits", digits
            as they are, of which nothing is grouped.
        source: of the digits: "bundled" or "mnist".
        sizes: how many images train, valid and test have.
        batch_size: images in a batch, over all processes.
        test_objects: shapes in a test image, where that is not 3.
        folder: where MNIST lies; None looks at FASTLADDER_DATA.
        download: fetch MNIST into that folder if it is not there.
        seed: of the order.
    """

    def __init__(
        self,
        dataset: Literal["shapes", "digits", "textures1", "textures2"] = "shapes",
        source: Literal["bundled", "mnist"] = "mnist",
        sizes: tuple[int, int, int] = (50_000, 10_000, 10_000),
        batch_size: int = 100,
        test_objects: int = 3,
        folder: str | None = None,
        download: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        sizes = (sizes[0], sizes[1], sizes[2])
        if not 1 <= batch_size <= sizes[0]:
            raise ValueError(f"batch_size: got {batch_size}, needs 1 to {sizes[0]}, the training set")
        if dataset == "shapes":
            splits = shapes(sizes)
            if test_objects != 3:
                generator = np.random.RandomState(TRANSFER_SEED)
                splits = splits._replace(test=draw_shapes(sizes[2], test_objects, generator))
        elif dataset == "digits":
            splits = digit_splits(source, sizes, folder, download)
        else:
            splits = texture_splits(source, int(dataset[-1]), sizes, folder=folder, download=download)
        self.splits: GroupedSplits = splits
        self.batch_size, self.seed = batch_size, seed

    def setup(self, stage: str) -> None:
        self.train, self.valid, self.test = (GroupedDataset(part, self.data_device) for part in self.splits)

    def train_dataloader(self) -> DataLoader[GroupedBatch]:
        """One epoch: all training images once, its last batch left out if it would be smaller."""
        generator = torch.Generator().manual_seed(mixed(self.seed, self.epoch))
        order = torch.randperm(len(self.train), generator=generator)
        whole = len(order) - len(order) % self.batch_size
        return self.loader(self.train, order[:whole].split(self.batch_size))

    def val_dataloader(self) -> DataLoader[GroupedBatch]:
        return self.loader(self.valid, torch.arange(len(self.valid)).split(TEST_BATCH))

    def test_dataloader(self) -> DataLoader[GroupedBatch]:
        return self.loader(self.test, torch.arange(len(self.test)).split(TEST_BATCH))

    def fingerprints(self) -> dict[str, str]:
        """The sha256 of images, groups and labels of train, valid and test."""
        return {name: part.fingerprint() for name, part in self.splits._asdict().items()}


def image_shape(dataset: str = "shapes", source: str = "mnist", **others: Any) -> tuple[int, int]:
    """(H, W), by the arguments of `GroupedData`."""
    if dataset == "shapes":
        return 20, 20
    if source == "mnist":
        return 28, 28
    return (8, 8) if dataset == "digits" else (20, 20)


def why_not_mnist(dataset: str = "shapes", source: str = "mnist", **others: Any) -> str:
    """By which of the arguments of `GroupedData` its images are not of MNIST; empty: they are."""
    if dataset == "shapes":
        return "data.dataset 'shapes', which has no digits"
    return "" if source == "mnist" else f"data.source {source!r}, only with 'mnist'"


def digit_splits(source: str, sizes: tuple[int, int, int], folder: str | None, download: bool) -> GroupedSplits:
    """The first digits of each split, none of their pixels scored."""
    splits = mnist_splits(folder, download=download) if source == "mnist" else split_digits(bundled_digits())
    for name, size, digits in zip(("train", "valid", "test"), sizes, splits, strict=True):
        if not 1 <= size <= len(digits):
            raise ValueError(f"sizes: got {size} for {name}, needs 1 to {len(digits)} of {digits.source}")
    return GroupedSplits(*(ungrouped(digits.subset(slice(size))) for digits, size in zip(splits, sizes, strict=True)))


def ungrouped(digits: Digits) -> GroupedImages:
    """Digits, none of whose pixels is scored."""
    groups = torch.zeros_like(digits.images, dtype=torch.uint8)
    return GroupedImages(digits.images, groups, digits.labels[:, None], digits.source)
