"""A small `Tag` and its data, and the mapping that records what it gets."""

import torch
from torch import nn

from fastladder.nn import Tag

SHAPE = (5, 4)


class Mapping(nn.Module):
    """A small network that records its inputs."""

    def __init__(self):
        super().__init__()
        self.shown = []
        self.layers = nn.Conv1d(4, 3, 3, padding="same")

    def forward(self, features):
        self.shown.append(features)
        mean, logits, other = self.layers(features.flatten(2)).unflatten(2, SHAPE).unbind(1)
        return mean, logits, other


def make(**options):
    torch.manual_seed(0)
    return Tag(Mapping(), SHAPE, **options)


def data(likelihood="gaussian", count=6):
    x = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))
    return (x > 0.5).float() if likelihood == "bernoulli" else x


def generator(seed=2):
    return torch.Generator().manual_seed(seed)
