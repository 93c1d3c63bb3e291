import pytest
import torch

from fastladder.inference import GaussianChain


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def draw(generator):
    """Draws numbers in double precision."""
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.fixture
def random_chain(generator):
    """Draws a chain with `top` levels above the observed one, the weights of either sign and clearly not 0."""

    def make(top):
        def uniform(count, low, high):
            values = torch.rand(count, generator=generator, dtype=torch.float64)
            return low + (high - low) * values

        def either_sign(values):
            return values * (2 * torch.randint(2, values.shape, generator=generator) - 1)

        return GaussianChain(
            weights=tuple(either_sign(uniform(top, 0.3, 1.5)).tolist()),
            variances=tuple(uniform(top + 1, 0.3, 2.0).tolist()),
            temporal_weights=tuple(either_sign(uniform(top, 0.3, 0.9)).tolist()),
            top_mean=uniform(1, -1, 1).item(),
        )

    return make
