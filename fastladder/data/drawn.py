"""Datasets whose items are drawn when they are asked for: what decides them is kept, not they themselves."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

Item = TypeVar("Item", bound=NamedTuple)
Index = Sequence[int] | slice | Tensor


class DrawnDataset(Dataset[Item], ABC):
    """Items that are drawn a whole batch at once, from a few numbers each that the seed decides.

    These numbers are drawn on the CPU, so that they are the same whatever the device. Works with
    `torch.utils.data.DataLoader` as it stands, and `dataset[indices]` is a batch without one.

    Args:
        count: the number of items, 1 or more.
        seed: 0 or more.
    """

    def __init__(self, count: int, seed: int) -> None:
        if count < 1:
            raise ValueError(f"count: got {count}, needs 1 or more")
        if seed < 0:
            raise ValueError(f"seed: got {seed}, needs 0 or more")
        self.count, self.seed = count, seed
        self.resample(0)

    @abstractmethod
    def decide(self, generator: torch.Generator) -> None:
        """Draws, and keeps, what decides all items."""

    @abstractmethod
    def batch(self, index: Index) -> Item:
        """The items at several indices as one batch."""

    def resample(self, epoch: int) -> None:
        """Decides all items anew. They depend on seed and epoch alone, so a resumed run sees the same.

        A new dataset is at epoch 0. Workers of a DataLoader that outlive an epoch (persistent_workers) do not see it.
        """
        # SeedSequence mixes the two numbers, so that (0, 1) and (1, 0) differ and near seeds are unrelated.
        (mixed,) = np.random.SeedSequence((self.seed, epoch)).generate_state(1)
        self.decide(torch.Generator().manual_seed(int(mixed)))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int | Index) -> Item:
        """One item, or several as one batch."""
        if not isinstance(index, (int, np.integer)):
            return self.batch(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"index: got {index}, needs {-len(self)} to {len(self) - 1}")
        batch = self.batch([int(index)])
        return batch._make(field[0] for field in batch)

    def __getitems__(self, indices: list[int]) -> list[Item]:
        """What a DataLoader asks for: the items are drawn in one go, then handed over one by one."""
        batch = self.batch(indices)
        return [batch._make(fields) for fields in zip(*batch, strict=True)]


def draw_evenly(total: int, count: int, generator: torch.Generator) -> Tensor:
    """(count,) int64 from 0 to total - 1 in random order, none drawn again before all others have been."""
    rounds = -(-count // total)
    orders = [torch.randperm(total, generator=generator, device=generator.device) for _ in range(rounds)]
    return torch.cat(orders)[:count]
