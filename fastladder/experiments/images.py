"""Batches of images, with the group of every pixel and the labels, where there are any."""

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fastladder.data import GroupedBatch, GroupedImages, GroupedSplits
from fastladder.experiments.data import BatchedData
from fastladder.experiments.seeding import mixed

TEST_BATCH = 1000  # the paper's code has batches of so many, whose statistics batch normalisation takes


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


class ImageData(BatchedData):
    """Batches of images whose pixels may have groups, and which may have labels.

    Args:
        splits: the images to train with, to validate with and to test with.
        batch_size: images in a batch, over all processes.
        seed: of the order.
        test_batch: images in a batch of the validation and of the test.
    """

    def __init__(self, splits: GroupedSplits, batch_size: int, seed: int = 0, test_batch: int = TEST_BATCH) -> None:
        super().__init__()
        if not 1 <= batch_size <= len(splits.train):
            raise ValueError(f"batch_size: got {batch_size}, needs 1 to {len(splits.train)}, the training set")
        self.splits, self.batch_size, self.seed, self.test_batch = splits, batch_size, seed, test_batch

    def setup(self, stage: str) -> None:
        self.train, self.valid, self.test = (GroupedDataset(part, self.data_device) for part in self.splits)

    def train_dataloader(self) -> DataLoader[GroupedBatch]:
        """One epoch: all training images once, its last batch left out if it would be smaller."""
        generator = torch.Generator().manual_seed(mixed(self.seed, self.epoch))
        order = torch.randperm(len(self.train), generator=generator)
        whole = len(order) - len(order) % self.batch_size
        return self.loader(self.train, order[:whole].split(self.batch_size))

    def val_dataloader(self) -> DataLoader[GroupedBatch]:
        return self.loader(self.valid, torch.arange(len(self.valid)).split(self.test_batch))

    def test_dataloader(self) -> DataLoader[GroupedBatch]:
        return self.loader(self.test, torch.arange(len(self.test)).split(self.test_batch))

    def fingerprints(self) -> dict[str, str]:
        """The sha256 of images, groups and labels of train, valid and test."""
        return {name: part.fingerprint() for name, part in self.splits._asdict().items()}
