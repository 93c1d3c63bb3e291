"""The likelihoods of `fastladder.nn.Tag`: real data with Gaussian noise, or binary data with flipped bits.

Both have the same methods, over N samples, K groups and data dimensions *D.
"""

from typing import Any

import torch
from torch import Tensor, nn

from fastladder import ops


class Gaussian(nn.Module):
    r"""Real data, corrupted by Gaussian noise. Every group predicts a mean; all groups share a learned variance v.

    .. math::
        v = w + \sqrt{w^2 + 1}, \qquad w = \frac{1}{2} \left( v - \frac{1}{v} \right)

    Args:
        noise: the standard deviation of the corruption, 0 or more.
        initial_variance: the initial v, above 0.
        delta: see `fastladder.ops.group_evidence`.
        legacy_variance: uses the v of the likelihood as a deviation in the evidence, as the authors' code does.
    """

    def __init__(
        self, noise: float, *, initial_variance: float, delta: str, legacy_variance: bool, **factory: Any
    ) -> None:
        super().__init__()
        if not 0 < initial_variance < float("inf"):
            raise ValueError(f"initial_variance: got {initial_variance}, needs a number above 0")
        if not 0 <= noise < float("inf"):
            raise ValueError(f"noise: got {noise}, needs a standard deviation of 0 or more")
        self.noise, self.delta, self.legacy_variance = noise, delta, legacy_variance
        self.initial_variance = initial_variance
        self.weight = nn.Parameter(torch.empty((), **factory))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The variance gets its initial value."""
        nn.init.constant_(self.weight, (self.initial_variance - 1 / self.initial_variance) / 2)

    @property
    def variance(self) -> Tensor:
        """v, a 0-dim tensor."""
        return self.weight.asinh().exp()  # equal to w + sqrt(w^2 + 1), without a difference of large numbers

    def check(self, name: str, data: Tensor) -> None:
        """Checks the data: every number is allowed."""

    def corrupt(self, data: Tensor, generator: torch.Generator | None) -> Tensor:
        """The data (N, *D) with noise."""
        return data + self.noise * normal_like(data, generator)

    def mean(self, z: Tensor) -> Tensor:
        """The mean, which is z, the mapping's output."""
        return z

    def likeliest(self, mean: Tensor) -> Tensor:
        """Data of this mean: the mean itself."""
        return mean

    def features(self, noisy: Tensor, mean: Tensor, mask: Tensor) -> Tensor:
        """The input of the mapping, (N, K, 4, *D)."""
        variance = self.variance.square() if self.legacy_variance else self.variance
        return ops.group_features(noisy, mean, mask, variance, self.noise**2, delta=self.delta)

    def nll(self, target: Tensor, z: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """The negative log likelihood (N,) of the target given z and mask logits (N, K, *D), and the mask."""
        return ops.group_mixture_nll(target, z, mask_logits, self.variance)

    def extra_repr(self) -> str:
        return f"noise={self.noise}, delta={self.delta!r}, legacy_variance={self.legacy_variance}"


class Bernoulli(nn.Module):
    """Binary data, corrupted by flipping bits. Every group predicts the logit of a probability.

    Args:
        noise: the probability with which a bit is flipped, from 0 to below 1/2.
    """

    def __init__(self, noise: float) -> None:
        super().__init__()
        if not 0 <= noise < 0.5:
            raise ValueError(f"noise: got {noise}, needs a flip probability from 0 to below 0.5")
        self.noise = noise

    def check(self, name: str, data: Tensor) -> None:
        """Checks that the data is binary."""
        if not ((data == 0) | (data == 1)).all():
            low, high = data.min().item(), data.max().item()
            raise ValueError(
                f"{name}: got values from {low:g} to {high:g}, needs 0 and 1 only (likelihood 'bernoulli')"
            )

    def corrupt(self, data: Tensor, generator: torch.Generator | None) -> Tensor:
        """The data (N, *D) with some bits flipped."""
        flips = uniform_like(data, generator) < self.noise
        return data.where(~flips, 1 - data)

    def mean(self, z: Tensor) -> Tensor:
        """The probability of a 1 whose logit is z, the mapping's output."""
        return z.sigmoid()

    def likeliest(self, mean: Tensor) -> Tensor:
        """The likelier of 0 and 1 for this mean."""
        return (mean > 0.5).to(mean.dtype)

    def features(self, noisy: Tensor, mean: Tensor, mask: Tensor) -> Tensor:
        """The input of the mapping, (N, K, 4, *D)."""
        return ops.group_features_bernoulli(noisy, mean, mask, self.noise)

    def nll(self, target: Tensor, z: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """The negative log likelihood (N,) of the target given z and mask logits (N, K, *D), and the mask."""
        return ops.group_mixture_nll_bernoulli(target, z, mask_logits)

    def extra_repr(self) -> str:
        return f"noise={self.noise}"


# Without a generator these call the functions that take none: torch.compile cannot trace an argument `generator`, not
# even None, together with a size that changes.


def normal_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers in the shape and dtype of x."""
    if generator is None:
        return torch.randn_like(x)
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def uniform_like(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Float32 numbers between 0 and 1 in the shape of x."""
    if generator is None:
        return torch.rand_like(x, dtype=torch.float32)
    return torch.rand(x.shape, generator=generator, device=x.device)
