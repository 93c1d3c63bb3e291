"""The output of fast-dropout networks for binary data."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastladder.models.vrae.precision import without_autocast
from fastladder.nn.fast_dropout_linear import FastDropoutLinear
from fastladder.nn.moments import moments_of
from fastladder.nn.reset import reset_children
from fastladder.nn.tag_likelihoods import uniform_like
from fastladder.tensors import compute_dtype_of

SCALE, LOWEST = 0.999, 0.0005  # of the probabilities, which end at 0.9995


class BernoulliOutput(nn.Module):
    r"""From mean and variance of hidden units to the logits of independent bits.

    .. math::
        p = 0.999 \, E[\sigma(a)] + 0.0005, \qquad \mathrm{logit} = \log p - \log(1 - p)

    for an activation a with the mean and the variance of a :class:`fastladder.nn.FastDropoutLinear` (Bayer et al.,
    2013). The clipping, which is that of the authors' code, bounds what a single bit can cost to 7.6 nats. The logit
    stands for p because it keeps its precision where p is close to 1.

    Args:
        in_features: of the hidden units.
        out_features: bits.
        rate: the probability with which a hidden unit is dropped.
        moments: those of the sigmoid, "erf3", "wang_manning" or "breze".
    """

    def __init__(self, in_features: int, out_features: int, *, rate: float, moments: str, **factory: Any) -> None:
        super().__init__()
        self.moments = moments
        self.linear = FastDropoutLinear(in_features, out_features, rate=rate, moments=moments, **factory)

    def reset_parameters(self) -> None:
        """Draws the weights anew."""
        reset_children(self)

    def forward(self, mean: Tensor, var: Tensor) -> Tensor:
        """The logits (*, out_features) for mean and variance (*, in_features), float32 (float64 for float64)."""
        mean, var = (compute_dtype_of(moment) for moment in self.linear(mean, var))
        with without_autocast(mean):
            expected, _ = moments_of("sigmoid", self.moments)(mean, var)
        return (SCALE * expected + LOWEST).logit()

    def extra_repr(self) -> str:
        return f"moments={self.moments!r}"


def bernoulli_nll(logits: Tensor, x: Tensor) -> Tensor:
    """The negative log-likelihood (*), in nats, of bits x (*, F) given their logits (*, F)."""
    return functional.binary_cross_entropy_with_logits(logits, x.to(logits.dtype), reduction="none").sum(-1)


def most_likely(logits: Tensor) -> Tensor:
    """The most likely bits, which are 1 where the probability is above 1/2, in the dtype of the logits."""
    return (logits > 0).to(logits.dtype)


def draw_bits(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """Bits, drawn with the probabilities that the logits stand for, in the dtype of the logits."""
    return (uniform_like(logits, generator) < logits.sigmoid()).to(logits.dtype)
