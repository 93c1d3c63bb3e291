"""One module of every kind, and the whole networks: the functions that make them and their inputs."""

import torch
from torch import nn

from fastladder.models import LadderNetwork, RLadder, Tagger, rladder_small_digits
from fastladder.nn import (
    G1,
    LSTM,
    ConvG1,
    ConvG2,
    ConvG3,
    ConvGRUCell,
    ConvLSTM,
    ConvLSTMCell,
    FastDropoutLinear,
    FastDropoutRNN,
    LadderCombinator,
    LSTMCell,
    StepBatchNorm,
    Tag,
)


def maps(channels, size=6, batch=3):
    return torch.randn(batch, channels, size, size)


MODULES = {
    "LSTMCell": (lambda **o: LSTMCell(3, 4, norm="layer", feedback_size=2, **o),
                 lambda: (torch.randn(3, 3), (torch.randn(3, 4), torch.randn(3, 4)), torch.randn(3, 2))),
    "LSTMCell-batch": (lambda **o: LSTMCell(3, 4, norm="batch", **o),
                       lambda: (torch.randn(3, 3), (torch.randn(3, 4), torch.randn(3, 4)))),
    "ConvLSTMCell": (lambda **o: ConvLSTMCell(3, 4, 3, stride=2, norm="layer", feedback_size=2, **o),
                     lambda: (maps(3), (maps(4, 3), maps(4, 3)), maps(2, 3))),
    "ConvGRUCell": (lambda **o: ConvGRUCell(3, 4, 3, **o), lambda: (maps(3), maps(4))),
    "ConvLSTM": (lambda **o: ConvLSTM(3, 4, 3, 2, norm="layer", bidirectional=True, **o),
                 lambda: (torch.randn(3, 2, 3, 5, 5), (torch.randn(4, 2, 4, 5, 5), torch.randn(4, 2, 4, 5, 5)))),
    "LSTM": (lambda **o: LSTM(3, 4, 2, norm="layer", bidirectional=True, **o),
             lambda: (torch.randn(3, 2, 3), (torch.randn(4, 2, 4), torch.randn(4, 2, 4)))),
    "FastDropoutLinear": (lambda **o: FastDropoutLinear(3, 4, learned_rate=True, nonlinearity="tanh", **o),
                          lambda: (torch.randn(3, 3), torch.rand(3, 3))),
    "FastDropoutRNN": (lambda **o: FastDropoutRNN(3, 4, 2, bidirectional=True, learned_rate=True, **o),
                       lambda: (torch.randn(3, 2, 3), torch.rand(3, 2, 3),
                                (torch.randn(4, 2, 4), torch.rand(4, 2, 4)))),
    "G1": (lambda **o: G1(3, 4, **o), lambda: (torch.randn(3, 3), torch.randn(3, 4))),
    "ConvG1": (lambda **o: ConvG1(3, 4, 4, stride=2, **o), lambda: (maps(3, 3), maps(4))),
    "ConvG2": (lambda **o: ConvG2(3, 4, 3, stride=2, **o), lambda: (maps(3, 3), maps(4))),
    "ConvG3": (lambda **o: ConvG3(3, 4, 5, 6, stride=2, **o), lambda: (maps(3, 3), maps(4))),
    "LadderCombinator": (lambda **o: LadderCombinator(3, norm="batch", **o), lambda: (maps(3), maps(3))),
    "StepBatchNorm": (lambda **o: StepBatchNorm(3, steps=2, **o), lambda: (maps(3), 1)),
}  # fmt: skip


class Mapping(nn.Module):
    """For Tag: two elements, from features (M, 4, 2)."""

    def __init__(self, **options):
        super().__init__()
        self.linear = nn.Linear(8, 4, **options)

    def forward(self, features):
        return self.linear(features.flatten(1)).chunk(2, dim=1)


def shares(batch, groups, *shape):
    return torch.rand(batch, groups, *shape).softmax(1)


NETWORKS = {
    "Tag": (lambda **o: Tag(Mapping(**o), 2, groups=3, norm="layer", **o),
            lambda: (torch.rand(2, 2),), lambda: {"mask": shares(2, 3, 2), "corrupt": False}),
    "Tagger": (lambda **o: Tagger(2, (8, 6), classes=3, groups=3, likelihood="bernoulli", norm="batch", **o),
               lambda: (torch.rand(2, 2).round(),), lambda: {"mask": shares(2, 3, 2), "corrupt": False}),
    "LadderNetwork": (lambda **o: LadderNetwork(4, (8, 3), **o), lambda: (torch.rand(3, 4),), dict),
    "RLadder": (lambda **o: RLadder(rladder_small_digits(4, 4, 5), (1, 20, 20), **o),
                lambda: (torch.rand(2, 3, 1, 20, 20),), dict),
}  # fmt: skip


def tensors(nested):
    """All tensors in nested tuples, lists and dictionaries."""
    return [leaf for leaf in torch.utils._pytree.tree_leaves(nested) if isinstance(leaf, torch.Tensor)]


def cast(nested, **options):
    """The same nest with `Tensor.to(**options)` applied to every tensor."""
    return torch.utils._pytree.tree_map_only(torch.Tensor, lambda x: x.to(**options), nested)
