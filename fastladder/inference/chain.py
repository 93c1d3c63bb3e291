"""A chain of scalar Gaussian variables, of any number of levels, static or temporal."""

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from fastladder.inference.checks import check_count


@dataclass(frozen=True)
class GaussianChain:
    """The model of appendices B and C of Recurrent Ladder Networks, one scalar to a level. Level 0 is observed.

    Level l = 0, ..., L is drawn around the level above it and around its own past (Eq. 8-11 and 20-22):

        u_l(t) ~ N(w_{l,l+1} u_{l+1}(t) + w_l u_l(t-1), sigma_l^2),    l < L
        u_L(t) ~ N(mu + w_L u_L(t-1), sigma_L^2)

    with w_0 = 0: Eq. (20) prints a term w_x x_{t-1} in the mean of x_t, which the derivation below it drops.

    Appendix B is `GaussianChain((1, w_x, w_yz), (sigma^2, sigma_x^2, sigma_y^2, sigma_z^2), top_mean=mu_z)`, with the
    corrupted x as level 0. Appendix C is `GaussianChain((w_x, w_yz), (sigma_x^2, sigma_y^2, sigma_z^2), (w_y, w_z))`;
    it prints w_xy for w_x in (20).

    Attributes:
        weights: L of them, w_{l,l+1} for l = 0, ..., L - 1. Zero is allowed.
        variances: L + 1 of them, sigma_l^2 for l = 0, ..., L, above 0.
        temporal_weights: L of them, w_l for l = 1, ..., L, or none in a static model.
        top_mean: mu, the constant in the mean of the top level.

    Raises:
        ValueError: on a number that is not finite, a variance that is not above 0, or a wrong number of them.
    """

    weights: tuple[float, ...]
    variances: tuple[float, ...]
    temporal_weights: tuple[float, ...] = ()
    top_mean: float = 0.0

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("weights: got none, needs at least one level above the observed one")
        if len(self.variances) != len(self.weights) + 1:
            needed = f"{len(self.weights) + 1}, one more than weights"
            raise ValueError(f"variances: got {len(self.variances)} of them, needs {needed}")
        if len(self.temporal_weights) not in (0, len(self.weights)):
            needed = f"{len(self.weights)}, one for each level above the observed one, or none"
            raise ValueError(f"temporal_weights: got {len(self.temporal_weights)} of them, needs {needed}")
        for name, values in (
            ("weights", self.weights),
            ("variances", self.variances),
            ("temporal_weights", self.temporal_weights),
            ("top_mean", (self.top_mean,)),
        ):
            if not all(isfinite(value) for value in values):
                raise ValueError(f"{name}: got {getattr(self, name)}, needs finite numbers")
        if not all(variance > 0 for variance in self.variances):
            raise ValueError(f"variances: got {self.variances}, needs numbers above 0")

    @property
    def top(self) -> int:
        """L, the index of the top level, which is also the number of levels that are inferred."""
        return len(self.weights)

    def drift(self, like: Tensor, past: Tensor | None = None) -> list[Tensor]:
        """The part of each level's mean that does not come from the level above, (...) each, for the levels 0 to L.

        Args:
            like: (...), gives shape, dtype and device.
            past: (..., L), the levels 1, ..., L at the time step before. None: the model is static.
        """
        zero = torch.zeros_like(like)
        if past is None:
            remembered = [zero] * self.top
        else:
            self.check_temporal()
            remembered = [w * u for w, u in zip(self.temporal_weights, past.unbind(-1), strict=True)]
        return [zero, *remembered[:-1], remembered[-1] + self.top_mean]

    def check_temporal(self) -> None:
        """Checks that the chain has temporal weights."""
        if not self.temporal_weights:
            raise ValueError(f"temporal_weights: got none, needs {self.top} of them in a model with a past")

    def expected(self, level: int, above: Tensor | None, drift: list[Tensor]) -> Tensor:
        """The mean of a level given the one above it (None for the top) and the drift."""
        return drift[level] if above is None else self.weights[level] * above + drift[level]


def simulate(chain: GaussianChain, count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Draws independent series. The past of the first step is 0; in a static model all steps are independent.

    Args:
        chain: the model.
        count: the number of series, N.
        steps: their length, T.
        generator: from which the series are drawn, on its device.

    Returns:
        (N, T, L + 1) float64: all levels, the observed one first.
    """
    check_count("count", count)
    check_count("steps", steps)
    shape = (steps, chain.top + 1, count)
    noise = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float64)
    past = noise.new_zeros(count, chain.top)
    series = []
    for shocks in noise:
        drift = chain.drift(past[:, 0], past if chain.temporal_weights else None)
        above, levels = None, []
        for level in range(chain.top, -1, -1):
            above = chain.expected(level, above, drift) + chain.variances[level] ** 0.5 * shocks[level]
            levels.append(above)
        series.append(torch.stack(levels[::-1], -1))
        past = series[-1][:, 1:]
    return torch.stack(series, 1)
