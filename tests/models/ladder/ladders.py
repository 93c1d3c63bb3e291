"""What the tests of Ladder networks share."""

import torch

from fastladder.models.ladder import AvgPool, Conv, Dense, MaxPool

EPS = 1e-10
CONV = (Conv(3, 3, "full"), MaxPool(2), Conv(4, 3), AvgPool(9), Dense(5))


def combine(weight, lateral, u, squash_gate=False):
    """The combinator, written out."""
    a = [None, *weight]
    mu = a[1] * torch.sigmoid(a[2] * u + a[3]) + a[4] * u + a[5]
    v = a[6] * torch.sigmoid(a[7] * u + a[8]) + a[9] * u + a[10]
    return (lateral - mu) * (torch.sigmoid(v) if squash_gate else v) + mu
