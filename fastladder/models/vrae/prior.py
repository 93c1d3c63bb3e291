"""Priors over latent sequences: Gaussian processes over time, the same for every latent dimension."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from fastladder import ops
from fastladder.models.vrae.posterior import PathPosterior
from fastladder.ops.checks import check_option
from fastladder.tensors import step_before

PRIORS = ("wiener", "white")
DIVERGENCES = ("exact", "shortcut")


class Prior(nn.Module):
    r"""A Gaussian process over time with covariance K, by its Cholesky factor L: K = L L'.

    z has the density of independent standard normal numbers :math:`\epsilon = L^{-1} z`, of which
    :math:`\epsilon_t` depends on the steps up to t alone: what a method returns for a step does not depend on later
    ones, and a sequence of any length T has the leading T rows of L. By the chain rule the divergence of a posterior
    q is a sum over steps, and the term of a step is

    .. math::
        \frac{1}{2} \sum_D \left[ E_q[\epsilon_t]^2 + V_q[\epsilon_t] - 1 - \log w_t + 2 \log L_{tt} \right]

    where :math:`w_t` is the variance of :math:`z_t` given :math:`z_{t-1}` under q.
    """

    longest: int | None = None  # the time steps that there are at most; None: any number

    def whiten(self, z: Tensor) -> Tensor:
        """epsilon of z, both (T, N, D)."""
        raise NotImplementedError

    def colour(self, noise: Tensor) -> Tensor:
        """z of epsilon, both (T, N, D): a sequence of the prior from standard normal noise."""
        raise NotImplementedError

    def whitened_variance(self, posterior: PathPosterior) -> Tensor:
        """V_q of epsilon, (T, N, D)."""
        raise NotImplementedError

    def log_scale(self, steps: int) -> Tensor | float:
        """log L_tt of the first steps, (T, 1), or 0."""
        return 0.0

    def divergence(self, posterior: PathPosterior) -> Tensor:
        """The Kullback-Leibler divergence of a posterior from this prior, term by term: (T, N), in nats."""
        mean, var = self.whiten(posterior.mean), self.whitened_variance(posterior)
        halves = (mean.square() + var - 1 - posterior.spread.log()).sum(-1) / 2
        return halves + mean.shape[-1] * self.log_scale(len(mean))

    def log_density(self, z: Tensor) -> Tensor:
        """log p(z_t | z_1, ..., z_(t-1)) of every step of z (T, N, D): (T, N), in nats."""
        halves = -(self.whiten(z).square() + math.log(2 * math.pi)).sum(-1) / 2
        return halves - z.shape[-1] * self.log_scale(len(z))


class WhitePrior(Prior):
    """Standard normal numbers, independent at every step."""

    def whiten(self, z: Tensor) -> Tensor:
        return z

    def colour(self, noise: Tensor) -> Tensor:
        return noise

    def whitened_variance(self, posterior: PathPosterior) -> Tensor:
        return posterior.var


class WienerPrior(Prior):
    """The Wiener process: it starts at 0, and its increments are independent standard normal numbers.

    Args:
        exact: whether a divergence is one. False takes the paper's shortcut for a posterior of independent steps, with
            which an objective is NOT a bound; see :func:`fastladder.ops.wiener_kl`.
    """

    def __init__(self, *, exact: bool) -> None:
        super().__init__()
        self.exact = exact

    def whiten(self, z: Tensor) -> Tensor:
        return z - step_before(z)

    def colour(self, noise: Tensor) -> Tensor:
        return noise.cumsum(0)

    def whitened_variance(self, posterior: PathPosterior) -> Tensor:
        slope = -1 if posterior.carry is None else posterior.carry - 1
        return posterior.spread + slope**2 * step_before(posterior.var)

    def divergence(self, posterior: PathPosterior) -> Tensor:
        if posterior.carry is None:
            return ops.wiener_kl(posterior.mean, posterior.var, exact=self.exact)
        return super().divergence(posterior)

    def extra_repr(self) -> str:
        return f"exact={self.exact}"


class KernelPrior(Prior):
    """Any Gaussian process over time, by its covariance.

    What is kept is computed in float64 and then rounded. The inverse of L is kept rather than solved for, since the
    variances need its squares.

    Args:
        kernel: K, (T_max, T_max), symmetric and positive definite.
    """

    def __init__(
        self, kernel: Tensor, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        factor = cholesky(kernel)
        self.longest = len(factor)
        identity = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
        parts = {
            "factor": factor,
            "inverse": torch.linalg.solve_triangular(factor, identity, upper=False),
            "log_diagonal": factor.diagonal().log(),
        }
        for name, part in parts.items():
            self.register_buffer(name, part.to(device=device, dtype=dtype or torch.get_default_dtype()))

    factor: Tensor
    inverse: Tensor
    log_diagonal: Tensor

    def whiten(self, z: Tensor) -> Tensor:
        return over_time(self.inverse, z)

    def colour(self, noise: Tensor) -> Tensor:
        return over_time(self.factor, noise)

    def whitened_variance(self, posterior: PathPosterior) -> Tensor:
        if posterior.carry is None:
            return over_time(self.inverse.square(), posterior.var)
        # epsilon = M (b + sqrt(w) noise), where column r of M is that of the inverse plus a_(r+1) times column r + 1.
        steps = len(posterior.var)
        inverse = self.inverse[:steps, :steps].to(posterior.var.dtype)
        column = inverse[:, -1, None, None]
        variance = posterior.spread[-1] * column.square()
        for r in reversed(range(steps - 1)):
            column = torch.addcmul(inverse[:, r, None, None], posterior.carry[r + 1], column)
            variance = torch.addcmul(variance, posterior.spread[r], column.square())
        return variance

    def log_scale(self, steps: int) -> Tensor | float:
        return self.log_diagonal[:steps, None]

    def extra_repr(self) -> str:
        return f"longest={self.longest}"


def over_time(matrix: Tensor, x: Tensor) -> Tensor:
    """The product of the leading T rows and columns of a matrix with x (T, N, D), over time."""
    leading = matrix[: len(x), : len(x)].to(x.dtype)
    return (leading @ x.flatten(1)).unflatten(1, x.shape[1:])


def cholesky(kernel: Any) -> Tensor:
    """Checks a covariance over time, and returns its Cholesky factor in float64."""
    if not kernel.is_floating_point() or kernel.dim() != 2 or kernel.shape[0] != kernel.shape[1] or len(kernel) == 0:
        raise ValueError(f"prior: got {kernel.dtype} of shape {tuple(kernel.shape)}, needs floats (T_max, T_max)")
    kernel = kernel.detach().double()
    if not torch.allclose(kernel, kernel.t()):
        raise ValueError("prior: got a matrix that is not symmetric, needs a covariance")
    factor, failed = torch.linalg.cholesky_ex(kernel)
    if failed:
        raise ValueError(
            f"prior: got a matrix whose leading {failed.item()} rows are not positive definite, needs a covariance"
        )
    return factor


def prior_of(prior: Any, kl: str, posterior: str, **factory: Any) -> Prior:
    """The prior that an argument names, "wiener", "white" or a kernel matrix, with its divergence."""
    check_option("kl", kl, DIVERGENCES)
    is_wiener = isinstance(prior, str) and prior == "wiener"
    if kl == "shortcut" and not (is_wiener and posterior == "diagonal"):
        raise ValueError("kl: got 'shortcut', needs prior='wiener' and posterior='diagonal'")
    if isinstance(prior, Tensor):
        return KernelPrior(prior, **factory)
    check_option("prior", prior, PRIORS)
    return WienerPrior(exact=kl == "exact") if is_wiener else WhitePrior()
