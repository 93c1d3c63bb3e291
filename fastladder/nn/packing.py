"""Padded batches as packed sequences, without `torch.nn.utils.rnn`, whose packing torch.func cannot transform."""

from collections.abc import Iterable
from numbers import Integral
from typing import Any

import torch
from torch import Tensor


class Packing:
    """Where the samples of a padded batch stand in a packed sequence: step after step, the longest samples first.

    Args:
        lengths: of the N samples.
        duration: T, the time steps of the padded batch.
        device: of the batch.

    Attributes:
        batch_sizes: the number of samples of each time step; they never grow.
    """

    def __init__(self, lengths: list[int], duration: int, device: torch.device) -> None:
        batch = len(lengths)
        self.duration, self.batch = duration, batch
        self.order = sorted(range(batch), key=lambda n: -lengths[n])
        self.batch_sizes = [sum(length > step for length in lengths) for step in range(max(lengths))]
        rows = [step * batch + n for step, size in enumerate(self.batch_sizes) for n in self.order[:size]]
        self.index = torch.tensor(rows, device=device)

    def pack(self, padded: Tensor) -> Tensor:
        """(T, N, *) as (sum of batch_sizes, *)."""
        return padded.flatten(0, 1)[self.index]

    def pad(self, packed: Tensor) -> Tensor:
        """(sum of batch_sizes, *) as (T, N, *), with zeros beyond the last step of each sample."""
        zeros = packed.new_zeros(self.duration * self.batch, *packed.shape[1:])
        return zeros.index_copy(0, self.index, packed).unflatten(0, (self.duration, self.batch))

    def sort(self, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """A state of two parts, (layers, N, *) each, with its samples in the order of the packed sequence."""
        return state[0][:, self.order], state[1][:, self.order]

    def unsort(self, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The reverse of `sort`."""
        back = sorted(range(self.batch), key=self.order.__getitem__)
        return state[0][:, back], state[1][:, back]


class Unpacking:
    """A packed sequence as (T, N, C), where each sample begins at the first step, in reverse with its own last one.

    Args:
        batch_sizes: the number of samples of each time step; they never grow.
        device: of the sequence.
        reverse: whether the steps are in reverse.

    Attributes:
        lengths: of the samples, from the longest to the shortest; None where all are as long.
    """

    def __init__(self, batch_sizes: list[int], device: torch.device, *, reverse: bool) -> None:
        self.duration, self.batch, self.reverse = len(batch_sizes), batch_sizes[0], reverse
        self.lengths = None if batch_sizes[-1] == self.batch else lengths_of(batch_sizes)
        if self.lengths is not None:
            rows = [
                (self.lengths[n] - 1 - step if reverse else step) * self.batch + n
                for step, size in enumerate(batch_sizes)
                for n in range(size)
            ]
            self.index = torch.tensor(rows, device=device)

    def unpack(self, packed: Tensor) -> Tensor:
        """(sum of batch_sizes, C) as (T, N, C), with zeros after the length of each sample."""
        if self.lengths is not None:
            zeros = packed.new_zeros(self.duration * self.batch, packed.shape[1])
            packed = zeros.index_copy(0, self.index, packed)
        padded = packed.unflatten(0, (self.duration, self.batch))
        return padded.flip(0) if self.reverse and self.lengths is None else padded

    def pack(self, padded: Tensor) -> Tensor:
        """(T, N, C) as (sum of batch_sizes, C)."""
        if self.lengths is not None:
            return padded.flatten(0, 1).index_select(0, self.index)
        return (padded.flip(0) if self.reverse else padded).flatten(0, 1)


def lengths_of(batch_sizes: list[int]) -> list[int]:
    """The lengths of samples of which so many go on at each time step, from the longest to the shortest."""
    lengths: list[int] = []
    for step in range(len(batch_sizes), 0, -1):
        lengths += [step] * (batch_sizes[step - 1] - len(lengths))
    return lengths


def check_lengths(lengths: Any, batch: int, duration: int) -> list[int]:
    """Checks the lengths of N samples, each from 1 to T, and returns them as integers."""
    needed = f"needs ({batch},) integers"
    if isinstance(lengths, Tensor):
        if lengths.shape != (batch,) or lengths.is_floating_point() or lengths.dtype == torch.bool:
            raise ValueError(f"lengths: got {lengths.dtype} of shape {tuple(lengths.shape)}, {needed}")
        lengths = lengths.tolist()
    if not isinstance(lengths, Iterable) or isinstance(lengths, str):
        raise TypeError(f"lengths: got {type(lengths).__name__}, {needed}")
    numbers = list(lengths)
    if len(numbers) != batch or not all(isinstance(n, Integral) and not isinstance(n, bool) for n in numbers):
        raise ValueError(f"lengths: got {numbers}, {needed}")
    if min(numbers) < 1 or max(numbers) > duration:
        raise ValueError(f"lengths: got {min(numbers)} to {max(numbers)}, needs 1 to {duration}")
    return numbers
