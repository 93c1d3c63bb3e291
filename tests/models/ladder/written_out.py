"""A small Ladder network of two dense levels, and its passes written out."""

import torch

from fastladder.models import LadderNetwork
from fastladder.models.ladder import AvgPool, Conv, Dense, MaxPool
from tests.shuffled import shuffled

EPS = 1e-10
CONV = (Conv(3, 3, "full"), MaxPool(2), Conv(4, 3), AvgPool(9), Dense(5))
WEIGHTS = (5.0, 0.7, 0.3)
NOISE = (0.4, 0.2, 0.3)


def tiny(**options):
    """Two levels over six features, in float64."""
    return shuffled(LadderNetwork(6, (5, 4), **{"dtype": torch.float64} | options))


def batch(samples=8, *shape):
    return torch.randn(samples, *(shape or (6,)), dtype=torch.float64)


def labels(samples=8):
    return torch.arange(samples) % 4


def moments(p, norm):
    dim = 1 if norm == "layer" else 0
    return p.mean(dim, keepdim=True), p.var(dim, correction=0, keepdim=True)


def normalize(p, norm):
    mean, var = moments(p, norm)
    return (p - mean) / (var + EPS).sqrt()


def encode(network, x, norm, top="softmax", leaky=False, noise=(0.0, 0.0, 0.0)):
    """The projections of both levels, the laterals of all three, the logits, and the activations of the top."""
    first, second = network.encoder
    z0 = x + noise[0] * torch.randn_like(x) if noise[0] else x
    p1 = z0 @ first.projection.weight.t()
    z1 = normalize(p1, norm)
    z1 = z1 + noise[1] * torch.randn_like(z1) if noise[1] else z1
    h1 = z1 + first.bias
    h1 = torch.where(h1 > 0, h1, (0.1 if leaky else 0) * h1)
    p2 = h1 @ second.projection.weight.t()
    z2 = normalize(p2, norm)
    z2 = z2 + noise[2] * torch.randn_like(z2) if noise[2] else z2
    a2 = (second.gain if top == "softmax" else 1) * (z2 + second.bias)
    h2 = a2.exp() / a2.exp().sum(1, keepdim=True) if top == "softmax" else a2.clamp(min=0)
    return (p1, p2), (z0, z1, z2), a2, h2


def combine(weight, lateral, u, squash_gate=False):
    """The combinator, written out."""
    a = [None, *weight]
    mu = a[1] * torch.sigmoid(a[2] * u + a[3]) + a[4] * u + a[5]
    v = a[6] * torch.sigmoid(a[7] * u + a[8]) + a[9] * u + a[10]
    return (lateral - mu) * (torch.sigmoid(v) if squash_gate else v) + mu


def decode(network, laterals, top, norm, squash_gate=False):
    g0, g1, g2 = (combinator.weight for combinator in network.combinators)
    v1, v2 = (inverse.weight for inverse in network.inverses)
    e2 = combine(g2, laterals[2], normalize(top, norm), squash_gate)
    e1 = combine(g1, laterals[1], normalize(e2 @ v2.t(), norm), squash_gate)
    return combine(g0, laterals[0], normalize(e1 @ v1.t(), norm), squash_gate), e1, e2


def assert_same_gradients(network, ours, theirs):
    for name, parameter in network.named_parameters():
        pair = [torch.autograd.grad(y, parameter, retain_graph=True, allow_unused=True)[0] for y in (ours, theirs)]
        assert pair[0] is not None, name
        torch.testing.assert_close(*pair, msg=lambda m, name=name: f"{name}: {m}")
