"""Gaussian posteriors over latent sequences."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastladder.nn.fast_dropout_linear import FastDropoutLinear
from fastladder.nn.reset import reset_children
from fastladder.ops.checks import check_option
from fastladder.tensors import compute_dtype_of, step_before

POSTERIORS = ("diagonal", "markov")
VARIANCE_FLOOR = 1e-4  # as in the authors' code, where it says: otherwise NaN


class PathPosterior(NamedTuple):
    r"""A Gaussian over latent sequences of T time steps, for N samples and D independent dimensions, each (T, N, D).

    .. math::
        z_t \mid z_{t-1} \sim N(a_t z_{t-1} + b_t, w_t), \qquad
        m_t = a_t m_{t-1} + b_t, \quad v_t = a_t^2 v_{t-1} + w_t, \qquad z_0 = m_0 = v_0 = 0

    With a = 0 the steps are independent, as in the paper; with a = 1 the increments are.
    """

    mean: Tensor  # m
    var: Tensor  # v
    carry: Tensor | None  # a; None where it is 0 throughout
    offset: Tensor  # b
    spread: Tensor  # w

    def sample(self, noise: Tensor) -> Tensor:
        """A sequence z (T, N, D), made of standard normal noise (T, N, D) from the first step on."""
        return recur(self.carry, self.offset + self.spread.sqrt() * noise)

    def log_density(self, z: Tensor) -> Tensor:
        """log q(z_t | z_(t-1)) of every step of z (T, N, D): (T, N), in nats."""
        centre = self.offset if self.carry is None else self.carry * step_before(z) + self.offset
        squares = (z - centre).square() / self.spread
        return -(squares + self.spread.log() + math.log(2 * math.pi)).sum(-1) / 2


class PosteriorHead(nn.Module):
    r"""From mean and variance of hidden units to a :class:`PathPosterior`.

    The mean of a linear layer with fast dropout is b; its variance, plus 1e-4, is w (Bayer and Osendorfer, 2014,
    section 2.1). For "markov" a second layer has :math:`a = E \tanh`, which is between -1 and 1 so that v cannot grow
    without bound. The rates of dropout are learned.

    Args:
        in_features: of the hidden units.
        latent_size: D.
        posterior: "diagonal" or "markov".
        moments: those of tanh, "erf3", "wang_manning" or "breze".
    """

    def __init__(self, in_features: int, latent_size: int, *, posterior: str, moments: str, **factory: Any) -> None:
        super().__init__()
        check_option("posterior", posterior, POSTERIORS)
        options: dict[str, Any] = {"learned_rate": True, "moments": moments, **factory}
        self.step = FastDropoutLinear(in_features, latent_size, **options)
        self.carry = (
            FastDropoutLinear(in_features, latent_size, nonlinearity="tanh", **options)
            if posterior == "markov"
            else None
        )

    def reset_parameters(self) -> None:
        """Draws the weights anew."""
        reset_children(self)

    def forward(self, mean: Tensor, var: Tensor, before: tuple[Tensor, Tensor] | None = None) -> PathPosterior:
        """The posterior, float32 (float64 for float64).

        Args:
            mean, var: of the hidden units, (T, N, in_features).
            before: m and v of the time step before the first, each (N, D); missing means 0.
        """
        offset, spread = (compute_dtype_of(moment) for moment in self.step(mean, var))
        spread = spread + VARIANCE_FLOOR
        if self.carry is None:
            return PathPosterior(offset, spread, None, offset, spread)
        carry = compute_dtype_of(self.carry(mean, var)[0])
        first_mean, first_var = (None, None) if before is None else before
        return PathPosterior(
            recur(carry, offset, first_mean), recur(carry.square(), spread, first_var), carry, offset, spread
        )


def recur(factor: Tensor | None, addend: Tensor, before: Tensor | None = None) -> Tensor:
    """y of y_t = factor_t y_(t-1) + addend_t, all (T, *), where y_0 is `before`, (*), or 0; without a factor addend."""
    if factor is None:
        return addend
    steps = []
    for a, b in zip(factor, addend, strict=True):
        before = b if before is None else torch.addcmul(b, a, before)
        steps.append(before)
    return torch.stack(steps)
