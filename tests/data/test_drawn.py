from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from fastladder.data.drawn import DrawnDataset, draw_evenly


class Numbers(NamedTuple):
    number: Tensor
    double: Tensor


class RandomNumbers(DrawnDataset[Numbers]):
    def decide(self, generator):
        self.numbers = torch.rand(len(self), generator=generator)

    def batch(self, index):
        self.asked = index
        return Numbers(self.numbers[index], 2 * self.numbers[index])


def test_items_and_batches():
    dataset = RandomNumbers(5, seed=0)
    assert len(dataset) == 5
    for index in (0, 3, -1):
        item = dataset[index]
        assert isinstance(item, Numbers)
        assert item.number == dataset.numbers[index]
        assert item.double == 2 * dataset.numbers[index]
    for index in ([3, 1], torch.tensor([3, 1]), slice(2, 5)):
        assert torch.equal(dataset[index].number, dataset.numbers[index])
    items = dataset.__getitems__([3, 1])
    assert dataset.asked == [3, 1]  # in one go
    assert [item.number for item in items] == dataset.numbers[[3, 1]].tolist()
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"index: got {index}, needs -5 to 4"):
            dataset[index]


def test_seed_and_epoch_decide():
    def numbers(seed, epoch):
        dataset = RandomNumbers(5, seed)
        dataset.resample(epoch)
        return tuple(dataset.numbers.tolist())

    assert tuple(RandomNumbers(5, 1).numbers.tolist()) == numbers(1, 0)
    drawn = [numbers(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert len(set(drawn)) == 9
    assert drawn == [numbers(seed, epoch) for seed in range(3) for epoch in range(3)]


@pytest.mark.parametrize(
    ("count", "seed", "message"),
    [(0, 0, "count: got 0, needs 1 or more"), (1, -1, "seed: got -1, needs 0 or more")],
)
def test_wrong_arguments_are_refused(count, seed, message):
    with pytest.raises(ValueError, match=message):
        RandomNumbers(count, seed)


@pytest.mark.parametrize("count", [3, 5, 13])
def test_draw_evenly(count):
    drawn = draw_evenly(5, count, torch.Generator().manual_seed(0))
    assert drawn.shape == (count,)
    often = drawn.bincount(minlength=5)
    assert often.max() - often.min() <= 1
    orders = {tuple(draw_evenly(5, 5, torch.Generator().manual_seed(seed)).tolist()) for seed in range(10)}
    assert len(orders) > 1
