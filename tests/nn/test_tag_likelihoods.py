"""The likelihoods of Tag: the corruption, the learned variance, and the error that the mapping gets."""

import pytest
import torch

from fastladder import reference
from tests.nn.tagging import data, generator, make


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_the_input_is_corrupted_in_training_only(likelihood):
    tag = make(likelihood=likelihood, iterations=1, noise=0.3)
    x = data(likelihood, count=400)
    tag.train()(x, generator=generator())
    tag.eval()(x, generator=generator())
    tag(x, noisy=1 - x)
    noisy, clean, given = (recovered(shown, likelihood) for shown in tag.mapping.shown)
    torch.testing.assert_close(clean, x, atol=1e-4, rtol=0)
    torch.testing.assert_close(given, 1 - x, atol=1e-4, rtol=0)
    if likelihood == "bernoulli":
        # 8,000 flips of probability 0.3: a standard deviation of 0.005.
        assert (noisy - x).abs().round().mean().item() == pytest.approx(0.3, abs=0.02)
    else:
        assert (noisy - x).std().item() == pytest.approx(0.3, abs=0.01)
        assert abs((noisy - x).mean().item()) < 0.015


def recovered(features, likelihood):
    """The noisy input, computed from the features of the first iteration, where all means are 0.5."""
    z, m, delta, _ = features.unflatten(0, (-1, 4)).unbind(2)
    if likelihood == "gaussian":
        return (z + delta / m)[:, 0]
    return (delta[:, 0] > 0).float()


def test_the_variance_is_learned_and_its_legacy_use_differs():
    deltas = {}
    for legacy in (False, True):
        tag = make(delta="gradient", legacy_variance=legacy, iterations=1)
        assert tag.likelihood.variance.item() == pytest.approx(1 + 2**0.5)
        tag(data(), generator=generator(), corrupt=False).cost.backward()
        assert tag.likelihood.weight.grad.abs() > 0
        deltas[legacy] = tag.mapping.shown[0][:, 2]
    v = 1 + 2**0.5
    # With all means equal the delta of "gradient" is m (x - z) / (v + sigma^2).
    torch.testing.assert_close(deltas[False] * (v + 0.04), deltas[True] * (v**2 + 0.04))


def test_the_variance_starts_where_it_is_asked_to():
    for variance in (0.03, 1.0, 7.0):
        assert make(initial_variance=variance).likelihood.variance.item() == pytest.approx(variance, rel=1e-4)


@pytest.mark.parametrize("delta", ["residual", "weighted", "gradient"])
def test_delta_is_that_of_the_evidence(delta):
    tag = make(delta=delta, iterations=1)
    x = data()
    tag(x, generator=generator(), corrupt=False)
    z, m, shown, _ = tag.mapping.shown[0].unflatten(0, (6, 4)).unbind(2)
    expected, _ = reference.group_evidence(x, z, m, 1 + 2**0.5, 0.04, delta=delta)
    torch.testing.assert_close(shown, expected)
