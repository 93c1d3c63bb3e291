"""Likelihoods of short sequences by numerical integration over a single latent dimension."""

import torch

from fastladder.models import VOSP
from fastladder.models.vrae.bernoulli import bernoulli_nll


def grid(steps, reach, points):
    """All points (steps, points**steps, 1) of a grid, and the logarithm of the volume of a cell."""
    line = torch.linspace(-reach, reach, points, dtype=torch.float64)
    nodes = torch.cartesian_prod(*[line] * steps).view(-1, steps).t()[..., None]
    return nodes, steps * (line[1] - line[0]).log()


def integrated(network, x, reach=9.0, points=91):
    """log p(x) of one sequence (T, 1, F), the integral of p(x | z) p(z)."""
    z, log_cell = grid(len(x), reach, points)
    repeated = x.expand(-1, z.shape[1], -1)
    logits = network.decode(z, repeated) if isinstance(network, VOSP) else network.decode(z)
    log_joint = network.prior.log_density(z) - bernoulli_nll(logits, repeated)
    return log_joint.sum(0).logsumexp(0) + log_cell


def expected_bound(network, x, points=61):
    """The expectation over the noise of reconstruction + kl, summed over the steps of one sequence (T, 1, F)."""
    noise, log_cell = grid(len(x), 7.0, points)
    weights = (torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum((0, 2)) + log_cell).exp()
    bound = network(x.expand(-1, noise.shape[1], -1), noise=noise)
    return (weights * (bound.reconstruction + bound.kl).sum(0)).sum()
