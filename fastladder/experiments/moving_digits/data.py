"""The sequences of a run: several digits that move over a frame at once (Recurrent Ladder Networks, section 4.3)."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import DataLoader

from fastladder.data import (
    MOVING_MNIST,
    MOVING_SMALL,
    Digits,
    GroupedMovingDigits,
    GroupedSequence,
    MovingGroups,
    Splits,
    bundled_digits,
    enlarged,
    mnist_splits,
    split_digits,
)
from fastladder.experiments.data import BatchedData
from fastladder.experiments.errors import RunError
from fastladder.experiments.seeding import TEST_SEED, VALID_SEED

FOLLOWING = 6  # frames of a test sequence after those that the network sees, as in Fig. 7
TEST_BATCH = 100
SIZES = {"bundled": MOVING_SMALL, "mnist": MOVING_MNIST}  # of what is made of each source


class MotionData(BatchedData):
    """Batches of moving digits with the digit that every pixel is of. Every epoch has new sequences.

    Args:
        source: "bundled", the 8 x 8 digits of scikit-learn, enlarged, on 32 x 32, or "mnist", 28 x 28 on 64 x 64.
        objects: digits in a sequence.
        frames: in a sequence that trains or validates; those of the test have `FOLLOWING` more.
        sizes: how many sequences an epoch, the validation and the test have.
        batch_size: sequences in a batch, over all processes.
        folder: where MNIST lies; None looks at FASTLADDER_DATA.
        download: fetch MNIST into that folder if it is not there.
        seed: of the sequences to learn from.
    """

    def __init__(
        self,
        source: Literal["bundled", "mnist"] = "bundled",
        objects: int = 2,
        frames: int = 10,
        sizes: tuple[int, int, int] = (10_000, 100, 1000),
        batch_size: int = 16,
        folder: str | None = None,
        download: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        config = motion_of(source, objects, frames)
        if frames < 2:
            raise ValueError(f"frames: got {frames}, needs 2 or more, as every frame is predicted from those before")
        for name, size in zip(("train", "valid", "test"), sizes, strict=True):
            if size < 1:
                raise ValueError(f"sizes: got {size} for {name}, needs 1 or more")
        if not 1 <= batch_size <= sizes[0]:
            raise ValueError(f"batch_size: got {batch_size}, needs 1 to {sizes[0]}, an epoch")
        self.config, self.sizes, self.batch_size, self.seed = config, sizes, batch_size, seed
        self.digits = read(source, folder, download)

    def setup(self, stage: str) -> None:
        processes = self.trainer.world_size if self.trainer else 1
        if self.batch_size % processes:
            raise RunError(f"batch_size: got {self.batch_size}, needs a multiple of the {processes} processes")
        train, valid, test = self.sizes
        longer = replace(self.config, frames=self.config.frames + FOLLOWING)
        self.train = self._sequences(self.digits.train, self.config, train, self.seed)
        self.valid = self._sequences(self.digits.valid, self.config, valid, VALID_SEED)
        self.test = self._sequences(self.digits.test, longer, test, TEST_SEED)

    def _sequences(self, digits: Digits, config: MovingGroups, count: int, seed: int) -> GroupedMovingDigits:
        return GroupedMovingDigits(digits, config, count=count, seed=seed, device=self.data_device)

    def train_dataloader(self) -> DataLoader[GroupedSequence]:
        """One epoch, its last batch left out if it would be smaller."""
        self.train.resample(self.epoch)
        batches = torch.arange(len(self.train)).split(self.batch_size)
        return self.loader(self.train, batches[: len(self.train) // self.batch_size])

    def val_dataloader(self) -> DataLoader[GroupedSequence]:
        return self.loader(self.valid, torch.arange(len(self.valid)).split(TEST_BATCH))

    def test_dataloader(self) -> DataLoader[GroupedSequence]:
        return self.loader(self.test, torch.arange(len(self.test)).split(TEST_BATCH))

    def fingerprints(self) -> dict[str, str]:
        """The sha256 of everything that decides the sequences, for train, valid and test."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: dataset.fingerprint() for name, dataset in parts.items()}


def motion_of(source: str = "bundled", objects: int = 2, frames: int = 10) -> MovingGroups:
    """How digits move, by the arguments of `MotionData`.

    Raises:
        ValueError: an argument is out of range; the message names it.
    """
    if source not in SIZES:
        raise ValueError(f"source: got {source!r}, needs one of {', '.join(SIZES)}")
    return replace(SIZES[source], objects=objects, frames=frames)


def read(source: str, folder: str | None, download: bool) -> Splits:
    """The digits that move, at their sizes in the frames."""
    if source == "mnist":
        return mnist_splits(Path(folder) if folder else None, download=download)
    parts = split_digits(bundled_digits())
    return Splits(*(enlarged(part, MOVING_SMALL.digit_size, margin=0) for part in parts))
