"""What `fastladder.nn.Tag` takes its data for: numbers with Gaussian noise, or bits of which some are flipped.

Both have the same methods, over N samples, K groups and data dimensions *D.
"""

from typing import Any

import torch
from torch import Tensor, nn

from fastladder import ops


class Gaussian(nn.Module):
    r"""Real data, corrupted by Gaussian noise; every group predicts a mean, all share a learned variance.

    .. math::
        v = w + \sqrt{w^2 + 1}, \qquad w = \frac{1}{2} \left( v - \frac{1}{v} \right)

    Args:
        noise: the standard deviation of the corruption, 0 or more.
        initial_variance: the v that the learning of w starts from, above 0.
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
        """The variance becomes the initial one."""
        nn.init.constant_(self.weight, (self.initial_variance - 1 / self.initial_variance) / 2)

    @property
    def variance(self) -> Tensor:
        """v, of the reconstruction."""
        return self.weight.asinh().exp()  # the formula without its difference of large numbers

    def check(self, name: str, data: Tensor) -> None:
        """Any number will do."""

    def corrupt(self, data: Tensor, generator: torch.Generator | None) -> Tensor:
        """The data (N, *D) with noise."""
        return data + self.noise * normal_like(data, generator)

    def mean(self, answer: Tensor) -> Tensor:
        """The mean that a mapping's answer stands for."""
        return answer

    def features(self, noisy: Tensor, mean: Tensor, mask: Tensor) -> Tensor:
        """(N, K, 4, *D): what the mapping is shown."""
        variance = self.variance.square() if self.legacy_variance else self.variance
        return ops.group_features(noisy, mean, mask, variance, self.noise**2, delta=self.delta)

    def nll(self, target: Tensor, answer: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """The cost (N,) of a mapping's answers (N, K, *D), and the mask."""
        return ops.group_mixture_nll(target, answer, mask_logits, self.variance)

    def extra_repr(self) -> str:
        return f"noise={self.noise}, delta={self.delta!r}, legacy_variance={self.legacy_variance}"


class Bernoulli(nn.Module):
    """Binary data, corrupted by flipping bits; every group predicts the logits of a probability.

    Args:
        noise: the probability with which a bit is flipped, from 0 to below 1/2.
    """

    def __init__(self, noise: float) -> None:
        super().__init__()
        if not 0 <= noise < 0.5:
            raise ValueError(f"noise: got {noise}, needs a flip probability from 0 to below 0.5")
        self.noise = noise

    def check(self, name: str, data: Tensor) -> None:
        """Refuses data that is not binary."""
        if not ((data == 0) | (data == 1)).all():
            low, high = data.min().item(), data.max().item()
            raise ValueError(
                f"{name}: got values from {low:g} to {high:g}, needs 0 and 1 only (likelihood 'bernoulli')"
            )

    def corrupt(self, data: Tensor, generator: torch.Generator | None) -> Tensor:
        """The data (N, *D) with some bits flipped."""
        flips = uniform_like(data, generator) < self.noise
        return data.where(~flips, 1 - data)

    def mean(self, answer: Tensor) -> Tensor:
        """The mean that a mapping's answer stands for."""
        return answer.sigmoid()

    def features(self, noisy: Tensor, mean: Tensor, mask: Tensor) -> Tensor:
        """(N, K, 4, *D): what the mapping is shown."""
        return ops.group_features_bernoulli(noisy, mean, mask, self.noise)

    def nll(self, target: Tensor, answer: Tensor, mask_logits: Tensor) -> tuple[Tensor, Tensor]:
        """The cost (N,) of a mapping's answers (N, K, *D), and the mask."""
        return ops.group_mixture_nll_bernoulli(target, answer, mask_logits)

    def extra_repr(self) -> str:
        return f"noise={self.noise}"


# torch.compile takes no size that changes together with the argument `generator`, not even where that is None.


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
