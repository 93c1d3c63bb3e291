"""A linear layer over units that have a mean and a variance, with fast dropout of its inputs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastladder.nn.checks import check_moments, check_probability, check_size
from fastladder.nn.moments import Moments, moments_of
from fastladder.ops.checks import autocast, check_flag

LOWEST_RATE, SPAN_OF_RATES = 0.025, 0.95  # of learned rates, which end at 0.975


class FastDropoutLinear(nn.Module):
    r"""A linear layer with fast dropout (Wang and Manning, 2013), like `torch.nn.Linear`.

    Instead of drawing masks it computes the mean and the variance of :math:`a = W (d \odot x) + b` for independent
    inputs :math:`x_i` with mean :math:`E_i` and variance :math:`V_i`, and independent
    :math:`d_i \in \{0, 1\}`, each 1 with the probability :math:`k_i` (Bayer and Osendorfer, 2014, appendix).

    .. math::
        E[a] = \sum_i k_i E_i W_i + b, \qquad V[a] = \sum_i (k_i (1 - k_i) E_i^2 + k_i V_i) W_i^2

    and from these, as a sum of many terms is nearly Gaussian, the moments of the nonlinearity. Nothing is drawn, so
    that training and evaluation give the same numbers. Unlike `torch.nn.Dropout` it does not divide by :math:`k`.

    With a rate of 0 and no variance the mean of a layer without a nonlinearity is that of a `torch.nn.Linear`, whose
    state_dict it takes if rates are not learned.

    Args:
        in_features: of the input.
        out_features: of the output.
        bias: whether there is a bias.
        rate: the probability with which an input is dropped, :math:`1 - k`.
        learned_rate: whether each input has a rate of its own that is learned, in place of `rate`:
            :math:`0.025 + 0.95 \, \sigma(\rho)`, where the parameter :math:`\rho` is drawn from N(0, 1).
        nonlinearity: "none", "tanh", "sigmoid" or "relu".
        moments: "erf3", "wang_manning" or "breze"; see :func:`fastladder.nn.moments.moments_of`.

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features,), or None.
        rate_logit: :math:`\rho`, (in_features,), or None.

    Shape:
        input (N, \*, in_features), output (N, \*, out_features), mean and variance each.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        rate: float = 0.1,
        learned_rate: bool = False,
        nonlinearity: str = "none",
        moments: str = "erf3",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_features = check_size("in_features", in_features)
        self.out_features = check_size("out_features", out_features)
        check_flag("bias", bias)
        check_flag("learned_rate", learned_rate)
        check_probability("rate", rate)
        moments_of(nonlinearity, moments)
        self.rate, self.nonlinearity, self.moments = rate, nonlinearity, moments
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight = nn.Parameter(torch.empty(self.out_features, self.in_features, **factory))
        self.bias = nn.Parameter(torch.empty(self.out_features, **factory)) if bias else None
        self.rate_logit = nn.Parameter(torch.empty(self.in_features, **factory)) if learned_rate else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias as `torch.nn.Linear` does, within 1 / sqrt(in_features), and learned rates anew."""
        bound = self.in_features**-0.5
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)
        if self.rate_logit is not None:
            nn.init.normal_(self.rate_logit)

    def rates(self) -> Tensor | float:
        """The probabilities with which inputs are dropped: (in_features,) where they are learned, else one number."""
        return self.rate if self.rate_logit is None else LOWEST_RATE + SPAN_OF_RATES * self.rate_logit.sigmoid()

    def kept_weights(self) -> tuple[Tensor, Tensor, Tensor | float]:
        """The weight and its square, each times the probabilities with which inputs are kept; and the rates."""
        rates = self.rates()
        kept = (1 - rates) * self.weight
        return kept, kept * self.weight, rates

    def projection(self) -> Moments:
        """The function from mean and variance of the input to those of a, for many calls with the same weights.

        The products of weights and probabilities are computed here.
        """
        weights: Any = self.kept_weights()
        kept, kept_squares, rates = autocast(*weights)

        def project(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
            # k (1 - k) E^2 + k V, without the factor k that the squared weights have.
            spread = torch.addcmul(var, rates * mean, mean)
            return functional.linear(mean, kept, self.bias), functional.linear(spread, kept_squares)

        return project

    def forward(self, mean: Tensor, var: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and variance of the outputs.

        Args:
            mean: (N, *, in_features).
            var: shaped like `mean`, of numbers from 0; missing means 0.

        Returns:
            mean and variance, each (N, *, out_features). Under autocast they have its dtype.

        Raises:
            ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
        """
        mean, var = check_moments(mean, var, "N, *", self.in_features, self)
        return moments_of(self.nonlinearity, self.moments)(*self.projection()(mean, var))

    def extra_repr(self) -> str:
        rate = "learned_rate=True" if self.rate_logit is not None else f"rate={self.rate}"
        return f"{self.in_features}, {self.out_features}, {rate}, nonlinearity={self.nonlinearity!r}"
