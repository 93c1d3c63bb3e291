"""Grey images to learn a likelihood from: where they come from, and how they become binary or continuous."""

from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fastladder.data import GreyImages, GreySplits, bundled_digits, mnist_splits, omniglot, small_norb, split_digits
from fastladder.experiments.data import BatchedData
from fastladder.experiments.seeding import TEST_SEED, mixed

SHAPES = {"bundled": (8, 8), "mnist": (28, 28), "omniglot": (28, 28), "norb": (32, 32)}
Source = Literal["bundled", "mnist", "omniglot", "norb"]


class ImageBatch(NamedTuple):
    """N images.

    Attributes:
        image: (N, H, W) float32 in [0, 1].
        label: (N,) int64, which no model is shown.
    """

    image: Tensor
    label: Tensor


class LikelihoodDataset(Dataset[ImageBatch]):
    """Batches of images, on a device; `dataset[indices]` is one."""

    def __init__(self, images: Tensor, labels: Tensor, device: torch.device | str) -> None:
        self.images, self.labels = images.to(device), labels.to(device)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Tensor) -> ImageBatch:
        return ImageBatch(self.images[indices], self.labels[indices])


class LatentImagesData(BatchedData):
    """Batches of images: those of the training set to learn from, those of the test set to evaluate by.

    Nothing is chosen by an evaluation in the training, which is of the test set too, as in the paper's Fig. 4.

    Args:
        source: "bundled", digits of scikit-learn; or "mnist", "omniglot" or "norb", from files of the user's.
        binary: how pixels become 0 or 1: "anew", those to learn from are drawn in every epoch, with the pixel's value
            as the probability of a 1; "once", they are drawn once; "no", they stay grey, and whole numbers, as NORB
            has them, become continuous, see `dequantised`, by noise that is drawn anew in every epoch. Whatever is
            drawn for the test set is drawn once.
        batch_size: images in a batch, over all processes.
        folder: where the files lie; None looks at FASTLADDER_DATA.
        download: fetch MNIST into that folder if it is not there.
        seed: of the order, and of what is drawn.
    """

    def __init__(
        self,
        source: Source = "bundled",
        binary: Literal["anew", "once", "no"] = "anew",
        batch_size: int = 256,
        folder: str | Path | None = None,
        download: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if download and source != "mnist":
            raise ValueError(f"download: got True, and there is no address of {source!r}, only of 'mnist'")
        self.splits = read_images(source, folder, download)
        self.caveat = self.splits.caveat
        if not 1 <= batch_size <= len(self.splits.train):
            raise ValueError(f"batch_size: got {batch_size}, needs 1 to {len(self.splits.train)}, the training set")
        self.binary, self.batch_size, self.seed = binary, batch_size, seed

    def setup(self, stage: str) -> None:
        self.test = self._dataset(self.splits.test, TEST_SEED)

    def train_dataloader(self) -> DataLoader[ImageBatch]:
        """One epoch: all training images once, its last batch left out if it would be smaller."""
        train = self._dataset(self.splits.train, self._draw())
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(mixed(self.seed, self.epoch)))
        whole = len(order) - len(order) % self.batch_size
        return self.loader(train, order[:whole].split(self.batch_size))

    def val_dataloader(self) -> DataLoader[ImageBatch]:
        return self.test_dataloader()

    def test_dataloader(self) -> DataLoader[ImageBatch]:
        return self.loader(self.test, torch.arange(len(self.test)).split(self.batch_size))

    def learned_images(self, count: int | None = None) -> Tensor:
        """Images as this epoch shows them to learn from: all (M, H, W), or at most so many from all over the set."""
        train = self.splits.train
        if count is not None:
            train = train.subset(torch.arange(0, len(train), -(-len(train) // count)))
        return self._dataset(train, self._draw()).images

    def _draw(self) -> int:
        """The seed of what is drawn for the pixels to learn from."""
        return mixed(self.seed, 0 if self.binary == "once" else self.epoch, 1)

    def fingerprints(self) -> dict[str, str]:
        """The sha256 of images and labels to learn from, and of those to evaluate by."""
        test = self.splits.test.fingerprint()
        return {"train": self.splits.train.fingerprint(), "valid": test, "test": test}

    def _dataset(self, part: GreyImages, seed: int) -> LikelihoodDataset:
        images, generator = part.images, torch.Generator().manual_seed(seed)
        whole = images.dtype == torch.uint8
        if self.binary != "no":
            images = torch.bernoulli(images / 255 if whole else images, generator=generator)
        elif whole:
            images = dequantised(images, int(self.splits.train.images.max()), generator)
        return LikelihoodDataset(images, part.labels, self.data_device)


def dequantised(images: Tensor, greatest: int, generator: torch.Generator) -> Tensor:
    """Whole numbers with uniform noise from 0 to 1 on them, divided by the greatest that they then can be, float32.

    So were images of NORB made continuous for the likelihoods of Ladder Variational Autoencoders (Table 3), which are
    densities of what results.

    Args:
        images: uint8.
        greatest: of those to learn from.
        generator: of the noise.
    """
    return (images + torch.rand(images.shape, generator=generator)) / (greatest + 1)


def read_images(source: Source, folder: str | Path | None, download: bool) -> GreySplits:
    """The images of a source to learn from, all that are not of the test, and those of the test."""
    if source == "omniglot":
        return omniglot(folder)
    if source == "norb":
        return small_norb(folder)
    digits = split_digits(bundled_digits()) if source == "bundled" else mnist_splits(folder, download=download)
    return GreySplits(digits.train.joined(digits.valid), digits.test)
