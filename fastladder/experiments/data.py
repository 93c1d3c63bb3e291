"""What the data of all experiments shares: the batches of an epoch, and a process's part of each."""

from collections.abc import Iterable
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class BatchedData(LightningDataModule):
    """Batches that are made in one go.

    The batches of an epoch depend on the seed and the epoch alone, so that a resumed run sees what an unbroken one
    sees. Several processes share each batch, so that they see together what one process would.

    Attributes:
        caveat: one line to print beside results that this data sets apart from published ones; empty for none.
    """

    caveat = ""

    @property
    def epoch(self) -> int:
        """The number of the epoch, from 0."""
        return self.trainer.current_epoch if self.trainer else 0

    @property
    def data_device(self) -> torch.device | str:
        """Where the data is kept."""
        return self.trainer.strategy.root_device if self.trainer else "cpu"

    def loader(self, dataset: Dataset[Any], batches: Iterable[Tensor]) -> DataLoader[Any]:
        """Loads this process's part of every batch; a batch is `dataset[indices]`.

        Args:
            dataset: of all examples.
            batches: the indices of each batch, (N,), or (R, N) for R examples at each of N places.
        """
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        parts = [batch[..., rank::processes] for batch in batches]
        return DataLoader(dataset, batch_size=None, sampler=[part for part in parts if part.numel()])


def draw(indices: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` of the indices in random order, pass by pass, so that none comes twice before all have come once."""
    passes = -(-count // len(indices))
    orders = [torch.randperm(len(indices), generator=generator) for _ in range(passes)]
    return indices[torch.cat(orders)[:count]]


def check_labels(labels: int | None, unlabelled: bool) -> None:
    """Checks that there are unlabelled examples where these are asked for.

    Raises:
        ValueError: all examples have labels.
    """
    if unlabelled and labels is None:
        raise ValueError("unlabelled: got True, needs a number of labels: without one, all examples have theirs")
