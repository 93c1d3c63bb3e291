"""The images that classifiers learn from: which have labels, and which go beside them without."""

import hashlib
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fastladder.data import Digits, GroupedSplits, balanced_draw
from fastladder.experiments.data import check_labels, draw
from fastladder.experiments.images import GroupedDataset, ImageData
from fastladder.experiments.seeding import mixed


class LabelledBatch(NamedTuple):
    """What one step learns from.

    Attributes:
        image: (N, H, W) float32 in [0, 1].
        label: (N, L) int64, the L = 1 or 2 digits of each.
        unlabelled: (N, H, W), other images, whose labels are not known; None: there are none.
    """

    image: Tensor
    label: Tensor
    unlabelled: Tensor | None

    @property
    def denoised(self) -> Tensor:
        """(N, H, W), the images for costs that need no labels: the unlabelled ones where there are any."""
        return self.image if self.unlabelled is None else self.unlabelled


class LabelledDataset(Dataset[LabelledBatch]):
    """Batches of labelled images: `dataset[indices]` is one, with indices (1, N), or (2, N) with unlabelled ones.

    Args:
        images: which.
    """

    def __init__(self, images: GroupedDataset) -> None:
        self.images = images

    def __getitem__(self, indices: Tensor) -> LabelledBatch:
        image, _, label = self.images[indices[0]]
        assert label is not None
        return LabelledBatch(image, label, self.images[indices[1]].image if len(indices) == 2 else None)


class LabelledData(ImageData):
    """Batches of digits with their labels.

    Args:
        splits: images that have labels.
        batch_size: labelled images in a batch, over all processes; of unlabelled ones there are as many.
        labels: how many training images have a label, balanced by the first of their digits; None: all.
        unlabelled: whether every batch also has images without labels, drawn from all training images.
        seed: of the order and of the choice of labels.
        options: others of `fastladder.experiments.images.ImageData`.
    """

    def __init__(
        self,
        splits: GroupedSplits,
        batch_size: int,
        labels: int | None = None,
        unlabelled: bool = False,
        seed: int = 0,
        **options: int,
    ) -> None:
        check_labels(labels, unlabelled)
        super().__init__(splits, batch_size, seed, **options)
        self.unlabelled = unlabelled
        train = splits.train
        assert train.labels is not None
        first = Digits(train.images, train.labels[:, 0], train.source)
        self.labelled = (
            torch.ones(len(train), dtype=torch.bool) if labels is None else balanced_draw(first, labels, seed)
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """One epoch of `LabelledBatch`, as long as one of all training images, its last batch left out if smaller.

        Where only some images have a label, an epoch shows those again and again until it is as long.
        """
        generator = torch.Generator().manual_seed(mixed(self.seed, self.epoch))
        everything = torch.arange(len(self.train))
        sources = [everything[self.labelled], *([everything] if self.unlabelled else [])]
        steps = len(everything) // self.batch_size
        orders = [draw(source, steps * self.batch_size, generator).view(steps, self.batch_size) for source in sources]
        return self.loader(LabelledDataset(self.train), torch.stack(orders, 1))

    def training_images(self) -> tuple[Tensor, ...]:
        """All training images in order, in batches (N, H, W) that differ by at most one in size."""
        return self.train.tensors[0].tensor_split(max(1, len(self.train) // self.batch_size))

    def fingerprints(self) -> dict[str, str]:
        """The sha256 of images, groups and labels of train, valid and test, and for train of the choice of labels."""
        prints = super().fingerprints()
        chosen = f"{prints['train']} {self.labelled.tolist()}"
        return {**prints, "train": hashlib.sha256(chosen.encode()).hexdigest()}
