"""Observation models: what a network says about an image given the lowest layer of latent variables."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from fastladder.models.ladder_vae.gaussians import log_density
from fastladder.tensors import compute_dtype_of


class BernoulliObservation(nn.Module):
    """Binary pixels, independent of each other, by their logits (Eq. 2)."""

    parts = 1  # numbers that the network computes for a pixel

    def __init__(self, floor: float) -> None:
        super().__init__()

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | z), summed over the pixels: (N, *S) and (N, 1, *S) -> (N,), in nats.

        A pixel between 0 and 1 costs what is expected of a pixel that is 1 with this probability.
        """
        logits = compute_dtype_of(output).squeeze(1)
        costs = functional.binary_cross_entropy_with_logits(logits, x.to(logits.dtype), reduction="none")
        return -costs.flatten(1).sum(1)

    def mean(self, output: Tensor) -> Tensor:
        """The expected pixels, (N, *S)."""
        return compute_dtype_of(output).squeeze(1).sigmoid()


class GaussianObservation(nn.Module):
    """Continuous pixels, independent of each other, by mean and variance (Eq. 1).

    Args:
        floor: of the variance.
    """

    parts = 2

    def __init__(self, floor: float) -> None:
        super().__init__()
        self.floor = floor

    def log_likelihood(self, x: Tensor, output: Tensor) -> Tensor:
        """log p(x | z), summed over the pixels: (N, *S) and (N, 2, *S) -> (N,), in nats."""
        mean, softplus_var = compute_dtype_of(output).unbind(1)
        return log_density(x.to(mean.dtype), mean, functional.softplus(softplus_var) + self.floor)

    def mean(self, output: Tensor) -> Tensor:
        """The expected pixels, (N, *S)."""
        return compute_dtype_of(output)[:, 0]

    def extra_repr(self) -> str:
        return f"floor={self.floor}"


OBSERVATIONS: dict[str, Any] = {"bernoulli": BernoulliObservation, "gaussian": GaussianObservation}
