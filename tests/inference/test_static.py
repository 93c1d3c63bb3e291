"""Inference in static chains, appendix B."""

import math

import pytest
import torch

from fastladder.inference import (
    GaussianChain,
    exact_posterior,
    static_inference,
    static_sweep,
    variational_cost,
    variational_variances,
)

LEVELS = pytest.mark.parametrize("top", range(1, 6))  # 2 to 6 levels, the observed one included
SWEEPS = 1000


@LEVELS
def test_the_fixed_point_is_the_exact_posterior_mean(top, random_chain, draw):
    for _ in range(5):
        chain, observation = random_chain(top), draw(4)
        means, _ = exact_posterior(chain, observation)
        found = static_inference(chain, observation, SWEEPS)
        torch.testing.assert_close(found, means, atol=1e-10, rtol=0)
        torch.testing.assert_close(static_sweep(chain, observation, means), means, atol=1e-12, rtol=0)


@LEVELS
def test_variances_are_the_reciprocal_diagonal_of_the_precision(top, random_chain, draw):
    for _ in range(5):
        chain = random_chain(top)
        _, covariance = exact_posterior(chain, draw(1))
        variances = torch.tensor(variational_variances(chain), dtype=torch.float64)
        torch.testing.assert_close(variances, 1 / torch.linalg.inv(covariance).diag(), atol=0, rtol=1e-10)
        assert (variances <= covariance.diag() * (1 + 1e-12)).all()


def test_three_levels_by_the_equations_of_the_appendix(draw):
    """(17)-(19) with w_x for w_y, and sigma^2 for one sigma_x^2, written out with s: up and then down."""
    w_x, w_yz, s2, s2_x, s2_y, s2_z, mu = 1.5, -0.7, 0.5, 1.0, 0.8, 2.0, 0.3
    chain = GaussianChain((1.0, w_x, w_yz), (s2, s2_x, s2_y, s2_z), top_mean=mu)
    observation, means = draw(6), draw(6, 3)
    s_x, s_y, s_z = (
        1 / (1 + math.exp(-math.log(ratio))) for ratio in (s2_x / s2, s2_y * w_x**2 / s2_x, s2_z * w_yz**2 / s2_y)
    )
    m_x, m_y, m_z = means.unbind(-1)
    m_x = s_x * observation + (1 - s_x) * w_x * m_y
    m_y = s_y * m_x / w_x + (1 - s_y) * w_yz * m_z
    m_z = s_z * m_y / w_yz + (1 - s_z) * mu
    m_y = s_y * m_x / w_x + (1 - s_y) * w_yz * m_z
    m_x = s_x * observation + (1 - s_x) * w_x * m_y
    torch.testing.assert_close(
        static_sweep(chain, observation, means), torch.stack([m_x, m_y, m_z], -1), atol=1e-14, rtol=0
    )
    corrected = (1 / (1 / s2 + 1 / s2_x), 1 / (w_x**2 / s2_x + 1 / s2_y), 1 / (w_yz**2 / s2_y + 1 / s2_z))
    assert variational_variances(chain) == pytest.approx(corrected, rel=1e-14)
    printed = 1 / (1 / s2_x + 1 / s2_x)
    assert abs(variational_variances(chain)[0] - printed) > 0.1


@LEVELS
def test_the_cost_is_flat_at_the_fixed_point_and_higher_elsewhere(top, random_chain, draw):
    chain, observation = random_chain(top), draw(4)
    means = static_inference(chain, observation, SWEEPS).requires_grad_()
    variances = torch.tensor(variational_variances(chain), dtype=torch.float64, requires_grad=True)
    cost = variational_cost(chain, observation, means, variances)
    for gradient in torch.autograd.grad(cost.sum(), (means, variances)):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-10, rtol=0)
    moved = variational_cost(chain, observation, means + 0.1 * draw(4, top), variances)
    widened = variational_cost(chain, observation, means, variances * 1.2)
    assert (moved > cost).all()
    assert (widened > cost).all()


@LEVELS
def test_the_cost_is_the_divergence_less_the_log_evidence(top, random_chain, draw):
    """So it is an upper bound of -log p(observation), and not a lower bound, as the text before (16) says."""
    chain, observation, means = random_chain(top), draw(4), draw(4, top)
    posterior_means, covariance = exact_posterior(chain, observation)
    variances = draw(4, top).exp()
    q = torch.distributions.MultivariateNormal(means, torch.diag_embed(variances))
    posterior = torch.distributions.MultivariateNormal(posterior_means, covariance)
    divergence = torch.distributions.kl_divergence(q, posterior)
    # log p(observation) = log p(observation, u) - log p(u | observation), at any u: here at 0 for all levels.
    zero = torch.zeros(4, top, dtype=torch.float64)
    gaps = torch.cat([observation[:, None], zero[:, 1:], zero[:, :1] - chain.top_mean], 1)
    joint = torch.distributions.Normal(0, torch.tensor(chain.variances, dtype=torch.float64).sqrt()).log_prob(gaps)
    evidence = joint.sum(1) - posterior.log_prob(zero)
    cost = variational_cost(chain, observation, means, variances)
    torch.testing.assert_close(cost, divergence - evidence, atol=1e-10, rtol=0)
    assert (cost >= -evidence).all()


@LEVELS
def test_every_sweep_lowers_the_cost(top, random_chain, draw):
    chain, observation, means = random_chain(top), draw(50), draw(50, top)
    variances = variational_variances(chain)
    before = variational_cost(chain, observation, means, variances)
    for _ in range(5):
        means = static_sweep(chain, observation, means)
        after = variational_cost(chain, observation, means, variances)
        assert (after <= before + 1e-12).all()
        before = after


def test_one_level_needs_one_sweep(random_chain, draw):
    chain, observation = random_chain(1), draw(5)
    torch.testing.assert_close(
        static_inference(chain, observation, 1), exact_posterior(chain, observation)[0], atol=1e-14, rtol=0
    )


@pytest.mark.parametrize("weights", [(0.0, 1.5, 0.7), (1.0, 0.0, 0.7), (1.0, 1.5, 0.0), (0.0, 0.0, 0.0)])
def test_zero_weights(weights, draw):
    chain, observation = GaussianChain(weights, (0.5, 1.0, 0.8, 2.0), top_mean=0.3), draw(5)
    found = static_inference(chain, observation, SWEEPS)
    torch.testing.assert_close(found, exact_posterior(chain, observation)[0], atol=1e-10, rtol=0)


def test_observations_are_independent(random_chain, draw):
    """A batch of any shape, each observation as if alone; float32 stays float32."""
    chain, observation = random_chain(3), draw(2, 4)
    together = static_inference(chain, observation, 7)
    assert together.shape == (2, 4, 3)
    torch.testing.assert_close(together[1, 2], static_inference(chain, observation[1, 2], 7))
    single = static_inference(chain, observation.float(), 7)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), together, atol=1e-5, rtol=1e-5)
