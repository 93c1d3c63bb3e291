"""The sequences of a run: which digits, which labels, in which batches."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fastladder.data import (
    PAPER,
    SMALL,
    Digits,
    MovingDigits,
    MovingDigitSequence,
    OccludedMovingDigits,
    OptimalReconstructions,
    Splits,
    balanced_draw,
    bundled_digits,
    mnist_splits,
    split_digits,
)
from fastladder.experiments.data import BatchedData, check_labels, draw
from fastladder.experiments.errors import RunError
from fastladder.experiments.seeding import TEST_SEED, VALID_SEED


class MovingDigitsData(BatchedData):
    """Batches of occluded moving digits, every digit as often as any other.

    Args:
        source: "bundled", the 8 x 8 digits of scikit-learn on 20 x 20, or "mnist", halved to 14 x 14 on 32 x 32 as in
            the paper.
        view: "frames", or "reconstruction": of each sequence the optimal reconstruction only, as one frame.
        batch_size: sequences in a batch, over all processes.
        sequences_per_digit: how many sequences there are of every digit.
        resample: whether every epoch has new trajectories; else each epoch shows the same sequences.
        labels: how many digits of the training set have a label, the same number of every class; None: all.
        unlabelled: whether the training set's other digits are shown too: half of every batch is then drawn from the
            digits with a label, half from all.
        join_validation: whether the validation set is part of the training set; its digits count as unlabelled where
            `labels` is given.
        folder: where MNIST lies; None looks at FASTLADDER_DATA.
        download: fetch MNIST into that folder if it is not there.
        seed: of trajectories, order and the choice of labels.
    """

    def __init__(
        self,
        source: Literal["bundled", "mnist"] = "bundled",
        view: Literal["frames", "reconstruction"] = "frames",
        batch_size: int = 100,
        sequences_per_digit: int = 1,
        resample: bool = True,
        labels: int | None = None,
        unlabelled: bool = False,
        join_validation: bool = False,
        folder: str | None = None,
        download: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in dict(batch_size=batch_size, sequences_per_digit=sequences_per_digit).items():
            if value < 1:
                raise ValueError(f"{name}: got {value}, needs 1 or more")
        check_labels(labels, unlabelled)
        if unlabelled and batch_size % 2:
            raise ValueError(f"batch_size: got {batch_size}, needs an even number, half of it with labels")
        self.config, self.frames = sequences_of(source, view)
        self.dataset_type = OccludedMovingDigits if view == "frames" else OptimalReconstructions
        self.batch_size, self.resample, self.unlabelled, self.seed = batch_size, resample, unlabelled, seed
        digits = self._read(source, folder, download)
        self.labelled = None if labels is None else balanced_draw(digits.train, labels, seed)
        if join_validation:
            if self.labelled is not None:
                self.labelled = torch.cat([self.labelled, torch.zeros(len(digits.valid), dtype=torch.bool)])
            digits = digits._replace(train=digits.train.joined(digits.valid))
        self.digits = Splits(*(part.repeated(sequences_per_digit) for part in digits))
        if self.labelled is not None:
            self.labelled = self.labelled.repeat(sequences_per_digit)
        if len(self.digits.train) < batch_size:
            raise ValueError(f"batch_size: got {batch_size}, needs {len(self.digits.train)}, the training set, or less")

    @staticmethod
    def _read(source: str, folder: str | None, download: bool) -> Splits:
        if source == "bundled":
            return split_digits(bundled_digits())
        splits = mnist_splits(Path(folder) if folder else None, download=download)
        return Splits(*(part.halved() for part in splits))

    def setup(self, stage: str) -> None:
        processes = self.trainer.world_size if self.trainer else 1
        multiple, needed = processes, f"the {processes} processes"
        if self.unlabelled:  # half of the part of every process has labels: a mean over none would be NaN
            multiple, needed = 2 * processes, f"twice the {processes} processes"
        if self.batch_size % multiple:
            raise RunError(f"batch_size: got {self.batch_size}, needs a multiple of {needed}")
        self.train = self._sequences(self.digits.train, self.seed, self.labelled)
        self.valid = self._sequences(self.digits.valid, VALID_SEED)
        self.test = self._sequences(self.digits.test, TEST_SEED)

    def _sequences(self, digits: Digits, seed: int, labelled: Tensor | None = None) -> OccludedMovingDigits:
        return self.dataset_type(digits, self.config, seed=seed, labelled=labelled, device=self.data_device)

    def train_dataloader(self) -> DataLoader[MovingDigitSequence]:
        """One epoch: all training digits once, its last batch left out if it would be smaller.

        Where only some digits have a label, an epoch shows those again and again until it is as long. The trainer asks
        for a new one every epoch.
        """
        self.train.resample(self.epoch if self.resample else 0)
        # The first number of this sequence draws the trajectories.
        _, seed = np.random.SeedSequence((self.seed, self.epoch)).generate_state(2)
        generator = torch.Generator().manual_seed(int(seed))
        everything = torch.arange(len(self.train))
        labelled = everything if self.labelled is None else everything[self.labelled]
        sources = [labelled, everything] if self.unlabelled else [labelled]
        share = self.batch_size // len(sources)
        steps = len(everything) // share
        parts = [draw(source, steps * share, generator).view(steps, share) for source in sources]
        return self.loader(self.train, torch.cat(parts, 1))

    def val_dataloader(self) -> DataLoader[MovingDigitSequence]:
        return self.loader(self.valid, torch.arange(len(self.valid)).split(self.batch_size))

    def test_dataloader(self) -> DataLoader[MovingDigitSequence]:
        return self.loader(self.test, torch.arange(len(self.test)).split(self.batch_size))

    def fingerprints(self) -> dict[str, str]:
        """The sha256 of everything that decides the sequences, for train, valid and test."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: dataset.fingerprint() for name, dataset in parts.items()}


def sequences_of(source: str = "bundled", view: str = "frames", **others: Any) -> tuple[MovingDigits, int]:
    """How digits move, and how many frames a sequence has, by the arguments of `MovingDigitsData`."""
    config = SMALL if source == "bundled" else PAPER
    return config, config.frames if view == "frames" else 1
