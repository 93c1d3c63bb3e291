"""Exact inference, against the moments of the joint Gaussian of whole series."""

import pytest
import torch

from fastladder.inference import GaussianChain, exact_posterior, kalman_filter, simulate


def joint_moments(chain, steps):
    """Mean and covariance of all levels of all steps, step by step, from every linear equation written out."""
    size = chain.top + 1
    couplings = torch.eye(steps * size, dtype=torch.float64)
    constant = torch.zeros(steps * size, dtype=torch.float64)
    for t in range(steps):
        for level in range(size):
            row = t * size + level
            if level < chain.top:
                couplings[row, row + 1] = -chain.weights[level]
            else:
                constant[row] = chain.top_mean
            if t and level:
                couplings[row, row - size] = -chain.temporal_weights[level - 1]
    mixing = torch.linalg.inv(couplings)
    noise = torch.tensor(chain.variances * steps, dtype=torch.float64)
    return mixing @ constant, (mixing * noise) @ mixing.T


def condition(mean, covariance, wanted, known, values):
    """Mean and covariance of some Gaussian variables, given the values (N, K) of others."""
    gain = torch.linalg.solve(covariance[known][:, known], covariance[known][:, wanted]).T
    means = mean[wanted] + (values - mean[known]) @ gain.T
    return means, covariance[wanted][:, wanted] - gain @ covariance[known][:, wanted]


@pytest.mark.parametrize("top", range(1, 6))
def test_posterior_is_the_conditional_of_the_joint(top, random_chain, draw):
    chain, observation = random_chain(top), draw(5)
    means, covariance = exact_posterior(chain, observation)
    levels = list(range(1, top + 1))
    expected = condition(*joint_moments(chain, 1), levels, [0], observation[:, None])
    torch.testing.assert_close((means, covariance), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("top", range(1, 6))
def test_posterior_with_a_past_is_the_conditional_of_two_steps(top, random_chain, draw):
    chain, observation, past = random_chain(top), draw(5), draw(5, top)
    means, covariance = exact_posterior(chain, observation, past)
    first, second = list(range(1, top + 1)), list(range(top + 2, 2 * top + 2))
    known = torch.cat([past, observation[:, None]], 1)
    expected = condition(*joint_moments(chain, 2), second, [*first, top + 1], known)
    torch.testing.assert_close((means, covariance), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("top", [1, 2, 4])
def test_kalman_filter_is_the_conditional_of_the_joint(top, random_chain, draw):
    """At every step, given all observations up to it; the prediction given all before it."""
    steps = 5
    chain, observations = random_chain(top), draw(3, steps)
    filtered = kalman_filter(chain, observations)
    moments = joint_moments(chain, steps)
    observed = [t * (top + 1) for t in range(steps)]
    for t in range(steps):
        levels = list(range(observed[t] + 1, observed[t] + top + 1))
        means, _ = condition(*moments, levels, observed[: t + 1], observations[:, : t + 1])
        torch.testing.assert_close(filtered.means[:, t], means, atol=1e-12, rtol=0)
        predictions, _ = condition(*moments, [observed[t]], observed[:t], observations[:, :t])
        torch.testing.assert_close(filtered.predictions[:, t], predictions[:, 0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("temporal_weights", [(0.5, 0.9), ()])
def test_simulated_series_have_the_moments_of_the_model(temporal_weights, generator):
    chain = GaussianChain((1.5, -0.7), (0.5, 1.0, 0.8), temporal_weights, top_mean=0.3)
    count = 40_000
    series = simulate(chain, count, 3, generator)
    assert series.shape == (count, 3, 3)
    mean, covariance = joint_moments(GaussianChain((1.5, -0.7), (0.5, 1.0, 0.8), temporal_weights or (0, 0), 0.3), 3)
    found = series.flatten(1)
    deviations = covariance.diag().sqrt()
    # Five standard deviations of a mean and, at most sqrt(2 / N), of a covariance.
    assert ((found.mean(0) - mean).abs() / deviations).max() < 5 / count**0.5
    scale = deviations[:, None] * deviations
    assert ((found.T.cov() - covariance).abs() / scale).max() < 5 * (2 / count) ** 0.5
