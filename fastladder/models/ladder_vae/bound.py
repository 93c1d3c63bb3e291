"""The bound on the likelihood that the networks are trained on, and what it is made of."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fastladder import ops
from fastladder.models.ladder_vae.gaussians import Gaussian, log_density
from fastladder.nn.tag_likelihoods import normal_like


class LatentLayer(NamedTuple):
    """One layer of latent variables given data: z, drawn from q, and what is known about it."""

    z: Tensor  # (N, D)
    q: Gaussian  # the posterior of z given the data and, in a ladder VAE, the layer above; mean and var (N, D)
    p: Gaussian  # the prior of z given the layer above; mean and var (N, D)
    kl: Tensor  # (N,), KL(q || p) in nats, summed over the units

    @property
    def units_kl(self) -> Tensor:
        """KL(q || p) of every unit, (N, D), in nats."""
        return ops.gaussian_kl(*(moment.reshape(-1, 1) for moment in (*self.q, *self.p))).view_as(self.z)

    @property
    def log_ratio(self) -> Tensor:
        """log p(z) - log q(z), (N,), in nats."""
        return log_density(self.z, *self.p) - log_density(self.z, *self.q)


class Bound(NamedTuple):
    """A lower bound on the log-likelihood, negated. Float32 (float64 for float64).

    S is `samples`, K is `importance`, L the number of layers.
    """

    objective: Tensor  # (), nats, to be minimised: the mean over the data
    log_weights: Tensor  # (S, K, N), log p(x, z) - log q(z | x) in nats
    reconstruction: Tensor  # (N,), -log p(x | z) in nats, the mean over samples
    kl: tuple[Tensor, ...]  # L times (N,), the divergence of a layer in nats, the mean over samples, lowest first
    layers: tuple[LatentLayer, ...]  # L, lowest first, of S * K * N rows each: a sample of all data behind the other

    @property
    def elbo(self) -> Tensor:
        """The bound itself, (), nats, without gradients: the divergence in full, whatever its weight in the objective.

        With K importance samples it is theirs, from `log_weights`.
        """
        if self.log_weights.shape[1] > 1:
            return ops.importance_bound(self.log_weights.detach(), dim=1).mean()
        return -(self.reconstruction + torch.stack(self.kl).sum(0)).detach().mean()


def draw(q: Gaussian, generator: torch.Generator | None) -> Tensor:
    """A sample of a Gaussian, (N, D)."""
    return q.mean + q.var.sqrt() * normal_like(q.mean, generator)


def layer_of(z: Tensor, q: Gaussian, p: Gaussian | None = None) -> LatentLayer:
    """A layer whose sample has been drawn; without a prior p this is N(0, I), as at the top."""
    if p is None:
        p = Gaussian(torch.zeros_like(z), torch.ones_like(z))
    return LatentLayer(z, q, p, ops.gaussian_kl(*q, *p))


def sum_of_log_ratios(layers: Sequence[LatentLayer]) -> Tensor:
    """log p(z) - log q(z | x) of all layers together, (N,), in nats."""
    return torch.stack([layer.log_ratio for layer in layers]).sum(0)


def compute_bound(
    log_likelihood: Tensor,
    layers: Sequence[LatentLayer],
    samples: int,
    importance: int,
    beta: float,
    free_bits: float,
) -> Bound:
    """The bound of S * K latent samples for each of N data, which lie behind one another.

    Args:
        log_likelihood: (S * K * N,), log p(x | z).
        layers: of latent variables, of S * K * N rows each, the lowest first.
        samples, importance, beta, free_bits: of `HierarchicalVAE.forward`.
    """
    shape = (samples, importance, -1)
    likelihood = log_likelihood.view(shape)
    ratios = sum_of_log_ratios(layers).view(shape)
    divergences = [layer.kl.view(shape).mean((0, 1)) for layer in layers]
    if importance == 1:
        price = torch.stack([kl.mean().clamp(min=free_bits) for kl in divergences]).sum()
        objective = beta * price - likelihood.mean()
    else:
        objective = -ops.importance_bound(likelihood + beta * ratios, dim=1).mean()
    reconstruction = -likelihood.mean((0, 1))
    return Bound(objective, likelihood + ratios, reconstruction, tuple(divergences), tuple(layers))
