"""Diagonal Gaussians that a network computes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from fastladder.nn.reset import reset_children
from fastladder.ops.checks import check_option
from fastladder.tensors import compute_dtype_of

NONLINEARITIES: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
}
NORMS = ("batch", "none")
LOG_TWO_PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Style:
    """What all layers of a network have in common; `HierarchicalVAE` describes norm, nonlinearity and floor."""

    norm: str
    nonlinearity: str
    floor: float
    factory: dict[str, Any] = field(default_factory=dict)  # device and dtype

    def __post_init__(self) -> None:
        check_option("norm", self.norm, NORMS)
        check_option("nonlinearity", self.nonlinearity, tuple(NONLINEARITIES))
        if not 0 <= self.floor < float("inf"):
            raise ValueError(f"variance_floor: got {self.floor}, needs a number from 0")

    @property
    def bias(self) -> bool:
        """Whether a layer that may be normalised has a bias of its own."""
        return self.norm == "none"

    def activation(self) -> nn.Module:
        return NONLINEARITIES[self.nonlinearity]()


class Gaussian(NamedTuple):
    """Mean and variance, float32 (float64 for float64)."""

    mean: Tensor  # (N, D)
    var: Tensor  # (N, D)


class NormedLinear(nn.Module):
    """A linear layer, and batch normalisation with gain and bias if the style has it.

    Args:
        in_features, out_features: as of `torch.nn.Linear`.
        style: of all layers.
        parts: how many layers it stands for, whose outputs are joined: each has weights as if it were on its own.

    Shape:
        input (N, in_features), output (N, out_features).
    """

    def __init__(self, in_features: int, out_features: int, style: Style, parts: int = 1) -> None:
        super().__init__()
        self.parts = parts
        self.linear = nn.Linear(in_features, out_features, bias=style.bias, **style.factory)
        self.norm = nn.BatchNorm1d(out_features, **style.factory) if style.norm == "batch" else nn.Identity()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weights from the normal distribution of Glorot and Bengio (2010); biases become 0."""
        reset_children(self)
        for weight in self.linear.weight.chunk(self.parts):
            nn.init.xavier_normal_(weight)
        if self.linear.bias is not None:
            nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.norm(self.linear(x))
        return output


class MLP(nn.Sequential):
    """Two layers of `hidden` units each, as all mappings of the paper have (Eq. 7).

    Shape:
        input (N, in_features), output (N, hidden).
    """

    def __init__(self, in_features: int, hidden: int, style: Style) -> None:
        super().__init__(
            NormedLinear(in_features, hidden, style),
            style.activation(),
            NormedLinear(hidden, hidden, style),
            style.activation(),
        )


class GaussianHead(nn.Module):
    r"""Mean and variance of a diagonal Gaussian, each by a linear layer of its own (Eq. 8 and 9), computed as one.

    .. math::
        \mu = \mathrm{Linear}(d), \qquad \sigma^2 = \mathrm{softplus}(\mathrm{Linear}(d)) + \mathrm{floor}

    The floor is part of the variance, wherever that is used: densities, samples and merged Gaussians see the same one.

    Shape:
        input (N, in_features), output mean and variance (N, D).
    """

    def __init__(self, in_features: int, out_features: int, style: Style) -> None:
        super().__init__()
        self.floor = style.floor
        self.mean_and_var = NormedLinear(in_features, 2 * out_features, style, parts=2)

    def reset_parameters(self) -> None:
        """Draws the weights anew."""
        reset_children(self)

    def forward(self, d: Tensor) -> Gaussian:
        mean, before_softplus = compute_dtype_of(self.mean_and_var(d)).chunk(2, 1)
        return Gaussian(mean, functional.softplus(before_softplus) + self.floor)

    def extra_repr(self) -> str:
        return f"floor={self.floor}"


class GaussianMLP(nn.Module):
    """An `MLP` with a `GaussianHead` on top: the mapping from one layer of latent variables to the next."""

    def __init__(self, in_features: int, hidden: int, out_features: int, style: Style) -> None:
        super().__init__()
        self.mlp = MLP(in_features, hidden, style)
        self.head = GaussianHead(hidden, out_features, style)

    def reset_parameters(self) -> None:
        """Draws the weights anew."""
        reset_children(self)

    def forward(self, x: Tensor) -> Gaussian:
        gaussian: Gaussian = self.head(self.mlp(x))
        return gaussian


def log_density(z: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    """log N(z; mean, var), summed over all dimensions but the first: (N, *) -> (N,), in nats."""
    terms = (z - mean).square() / var + var.log() + LOG_TWO_PI
    return -0.5 * terms.flatten(1).sum(1)
