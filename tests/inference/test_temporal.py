"""Inference in temporal chains, appendix C."""

import math

import pytest
import torch

from fastladder.inference import (
    Gains,
    GaussianChain,
    exact_posterior,
    kalman_filter,
    online_filter,
    simulate,
    static_sweep,
    temporal_inference,
    temporal_prediction,
    temporal_sweep,
)

LEVELS = pytest.mark.parametrize("top", range(1, 5))  # 2 to 5 levels, the observed one included
SWEEPS = 1000

# x, y, z of the appendix: w_x, w_yz; sigma_x^2, sigma_y^2, sigma_z^2; w_y, w_z.
EXAMPLE = GaussianChain((1.0, 1.0), (1.0, 1.0, 0.5), (0.5, 0.8))


@LEVELS
def test_sweeps_go_to_the_exact_posterior_mean(top, random_chain, draw):
    for _ in range(5):
        chain, observation, past = random_chain(top), draw(4), draw(4, top)
        means, _ = exact_posterior(chain, observation, past)
        found = temporal_inference(chain, observation, past, SWEEPS)
        torch.testing.assert_close(found, means, atol=1e-10, rtol=0)
        again = temporal_sweep(chain, Gains.of(chain), observation, past, means)
        torch.testing.assert_close(again, means, atol=1e-12, rtol=0)


@pytest.mark.parametrize("top", range(2, 5))
def test_one_sweep_is_not_the_fixed_point(top, random_chain, draw):
    chain, observation, past = random_chain(top), draw(100), draw(100, top)
    exact, _ = exact_posterior(chain, observation, past)
    distance = (temporal_inference(chain, observation, past, 1) - exact).square().mean().sqrt()
    predicted = (temporal_prediction(chain, past)[:, 1:] - exact).square().mean().sqrt()
    assert 1e-4 < distance < predicted  # the fixed point is within 1e-10


def test_a_first_sweep_by_the_equations_of_the_appendix(draw):
    """(23)-(26), correct as printed, and m_z by (28), corrected, which equals its own equation after (26)."""
    (w_x, w_yz), (s2_x, s2_y, s2_z), (w_y, w_z) = EXAMPLE.weights, EXAMPLE.variances, EXAMPLE.temporal_weights
    observation, past = draw(6), draw(6, 2)
    past_y, past_z = past.unbind(-1)
    v_y = 1 / (w_x**2 / s2_x + 1 / s2_y)
    v_z = 1 / (w_yz**2 / s2_y + 1 / s2_z)
    s_y = 1 / (1 + math.exp(-math.log(s2_y * w_x**2 / s2_x)))
    predicted_z = w_z * past_z
    predicted_y = w_y * past_y + w_yz * predicted_z
    encoded_y = s_y * observation / w_x + (1 - s_y) * predicted_y
    m_z = v_z * ((encoded_y - w_y * past_y) * w_yz / s2_y + w_z * past_z / s2_z)
    m_y = encoded_y + w_yz * v_y / s2_y * (m_z - predicted_z)
    expected = torch.stack([w_x * predicted_y, predicted_y, predicted_z], -1)
    torch.testing.assert_close(temporal_prediction(EXAMPLE, past), expected, atol=1e-14, rtol=0)
    found = temporal_inference(EXAMPLE, observation, past, 1)
    torch.testing.assert_close(found, torch.stack([m_y, m_z], -1), atol=1e-14, rtol=0)


@LEVELS
def test_without_memory_a_temporal_sweep_is_a_static_one(top, random_chain, draw):
    """From any means: (28) and (30), corrected, are the messages of appendix B as corrections of a prediction."""
    random = random_chain(top)
    chain = GaussianChain(random.weights, random.variances, (0.0,) * top, random.top_mean)
    observation, means, past = draw(5), draw(5, top), draw(5, top)
    found = temporal_sweep(chain, Gains.of(chain), observation, past, means)
    torch.testing.assert_close(found, static_sweep(chain, observation, means), atol=1e-12, rtol=0)


@pytest.mark.parametrize("weights", [(0.0, 0.7), (1.0, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("temporal_weights", [(0.0, 0.8), (0.5, 0.0)])
def test_zero_weights(weights, temporal_weights, draw):
    chain = GaussianChain(weights, (1.0, 0.8, 0.5), temporal_weights)
    observation, past = draw(5), draw(5, 2)
    found = temporal_inference(chain, observation, past, SWEEPS)
    torch.testing.assert_close(found, exact_posterior(chain, observation, past)[0], atol=1e-10, rtol=0)


def test_online_between_kalman_and_persistence():
    series = simulate(EXAMPLE, 400, 500, torch.Generator().manual_seed(0))
    observations, levels = series[..., 0], series[..., 1:]
    kalman, online = kalman_filter(EXAMPLE, observations), online_filter(EXAMPLE, observations, sweeps=20)

    def error(predictions):
        return (predictions - observations)[:, 1:].square().mean().item()

    persistence = error(observations.roll(1, -1))
    assert error(kalman.predictions) < error(online.predictions) < persistence
    # What the stationary covariances give. The mean of 200,000 squares is good to 0.01.
    assert error(kalman.predictions) == pytest.approx(3.278, abs=0.05)
    assert error(online.predictions) == pytest.approx(3.353, abs=0.05)
    assert persistence == pytest.approx(3.951, abs=0.05)
    for level in range(2):
        exact, approximate = ((filtered.means - levels)[..., level].square().mean() for filtered in (kalman, online))
        assert exact < approximate


def test_online_is_inference_step_after_step(random_chain, draw):
    """With its own means as the past. The first step, whose past is known, is that of the Kalman filter."""
    chain, observations = random_chain(3), draw(2, 4, 5)
    filtered = online_filter(chain, observations, sweeps=3)
    assert filtered.means.shape == (2, 4, 5, 3)
    assert filtered.predictions.shape == (2, 4, 5)
    past = torch.zeros(2, 4, 3, dtype=torch.float64)
    for t in range(5):
        torch.testing.assert_close(filtered.predictions[..., t], temporal_prediction(chain, past)[..., 0])
        past = temporal_inference(chain, observations[..., t], past, 3)
        torch.testing.assert_close(filtered.means[..., t, :], past)
    converged = online_filter(chain, observations[..., :1], SWEEPS)
    torch.testing.assert_close(converged, kalman_filter(chain, observations[..., :1]), atol=1e-10, rtol=0)
