"""A small RLadder that has every kind of row and decoder cell, its input, and how outputs are compared."""

import torch

from fastladder.models import Level, RLadder
from fastladder.models.rladder import G1, LSTM, AvgPool, Conv, ConvG1, ConvG2, ConvG3, ConvLSTM, Dense, MaxPool
from tests.shuffled import shuffled

TINY = (
    Level(ConvLSTM(3, 3), ConvG3(5)),
    Level(Conv(4, 3), ConvG2(3)),
    Level(MaxPool(2), ConvG3(4)),
    Level(ConvLSTM(5, 3), ConvG1(3)),
    Level(AvgPool(2), G1()),
    Level(LSTM(6), G1()),
    Level(Dense(7)),
)
SHAPE = (2, 8, 8)


def tiny(**options):
    return shuffled(RLadder(TINY, SHAPE, **options))


def frames(steps=3, batch=4):
    return torch.rand(batch, steps, *SHAPE)


def assert_same(a, b, **tolerance):
    for x, y in zip(flat(a), flat(b), strict=True):
        torch.testing.assert_close(x, y, **tolerance)


def flat(nested):
    if isinstance(nested, torch.Tensor):
        return [nested]
    return [t for part in nested or () for t in flat(part)]
