"""The bound, the likelihood that it bounds, and the estimate between the two."""

import math

import pytest
import torch

from tests.models.vrae.integration import expected_bound, integrated
from tests.models.vrae.tiny import NETWORKS, PRIORS, bits, generator, make, widen

every_network = pytest.mark.parametrize("name", NETWORKS)
every_posterior = pytest.mark.parametrize("posterior", ["diagonal", "markov"])
every_prior = pytest.mark.parametrize("prior", PRIORS)
LENGTHS = [2, 5, 1, 3]


@every_network
@every_posterior
@every_prior
@pytest.mark.parametrize("steps", [1, 2])
@torch.no_grad()
def test_it_bounds_the_likelihood(name, posterior, prior, steps):
    network = make(name, latent_size=1, posterior=posterior, prior=PRIORS[prior])
    for seed in range(3):
        x = bits(steps, 1, 3, seed=seed)
        assert integrated(network, x) > -expected_bound(network, x)


@every_network
@every_posterior
@every_prior
@torch.no_grad()
def test_importance_weights_are_unbiased_and_their_logarithm_lies_between(name, posterior, prior):
    network = widen(make(name, latent_size=1, posterior=posterior, prior=PRIORS[prior]))
    x, count = bits(2, 1, 3), 2000
    truth, bound = integrated(network, x), -expected_bound(network, x)
    one, many = (network.log_likelihood(x.expand(-1, count, -1), s, generator=generator()) for s in (1, 10))
    assert one.shape == (count,)
    for estimates in (one, many):
        weights = (estimates - truth).exp()
        assert abs(weights.mean() - 1) < 4.5 * weights.std() / math.sqrt(count)
    assert abs(one.mean() - bound) < 4.5 * one.std() / math.sqrt(count)
    assert bound < many.mean() < truth


@every_network
@torch.no_grad()
def test_the_likelihoods_of_all_sequences_add_up_to_one(name):
    """They would not if the prediction of a step had seen that step."""
    network = make(name, features=2, latent_size=1)
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 4).view(-1, 2, 1, 2)
    total = sum(integrated(network, x, points=41).exp() for x in every)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-8)


@every_network
@every_posterior
@every_prior
@torch.no_grad()
def test_sequences_are_drawn_as_likely_as_they_are(name, posterior, prior):
    network, count = make(name, features=1, latent_size=1, posterior=posterior, prior=PRIORS[prior]), 5000
    drawn = network.sample(2, count, generator())
    assert drawn.shape == (2, count, 1)
    for x in torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 2):
        probability = integrated(network, x.view(2, 1, 1)).exp()
        frequency = (drawn[..., 0] == x[:, None]).all(0).double().mean()
        assert abs(frequency - probability) < 4.5 * (probability * (1 - probability) / count).sqrt()


def test_the_objective_is_the_mean_over_all_real_steps():
    bound = make("VRAE")(bits(6, 4, 3), LENGTHS, generator=generator())
    torch.testing.assert_close(bound.objective, (bound.reconstruction + bound.kl).sum() / sum(LENGTHS))
    assert bound.reconstruction.shape == bound.kl.shape == (6, 4)
    assert bound.objective.shape == ()


@every_network
@every_posterior
@every_prior
@pytest.mark.parametrize("as_tensor", [False, True])
def test_padded_sequences_are_as_if_alone(name, posterior, prior, as_tensor):
    network, x = make(name, posterior=posterior, prior=PRIORS[prior]), bits(6, 4, 3)
    noise = torch.randn(6, 4, 2, dtype=torch.float64)
    for n, length in enumerate(LENGTHS):
        x[length:, n] = torch.nan  # padding may be anything
    bound = network(x, torch.tensor(LENGTHS) if as_tensor else LENGTHS, noise=noise)
    bound.objective.backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    for n, length in enumerate(LENGTHS):
        alone = network(x[:length, n : n + 1], noise=noise[:length, n : n + 1])
        for padded, own in ((bound.reconstruction, alone.reconstruction), (bound.kl, alone.kl)):
            torch.testing.assert_close(padded[:length, n : n + 1], own)
            assert padded[length:, n].eq(0).all()


@every_network
@every_posterior
@torch.no_grad()
def test_the_estimate_knows_no_padding(name, posterior):
    """The weights of a padded sequence add up to the likelihood of what is no padding."""
    network, x, count = widen(make(name, latent_size=1, posterior=posterior)), bits(4, 1, 3), 2000
    x[2:] = torch.nan
    padded = network.log_likelihood(x.expand(-1, count, -1), 5, [2] * count, generator())
    weights = (padded - integrated(network, x[:2])).exp()
    assert abs(weights.mean() - 1) < 4.5 * weights.std() / math.sqrt(count)


@every_network
@torch.no_grad()
def test_the_shortcut_changes_the_divergence_alone(name):
    x, noise = bits(5, 2, 3), torch.randn(5, 2, 2, dtype=torch.float64)
    exact, shortcut = (make(name, kl=kl) for kl in ("exact", "shortcut"))
    v = exact.encode(x).var
    missing = (1 + torch.cat([torch.zeros_like(v[:1]), v[:-1]]) / v).log().sum(2) / 2
    exact, shortcut = exact(x, noise=noise), shortcut(x, noise=noise)
    assert shortcut.reconstruction.equal(exact.reconstruction)
    torch.testing.assert_close(shortcut.kl, exact.kl - missing)


@every_network
def test_a_generator_repeats_what_is_drawn(name):
    network, x = make(name), bits(4, 2, 3)
    calls = {
        "forward": lambda g: network(x, generator=g).objective,
        "log_likelihood": lambda g: network.log_likelihood(x, 2, generator=g),
        "sample": lambda g: network.sample(20, 3, g),
    }
    for call in calls.values():
        assert call(generator()).equal(call(generator()))
        assert not call(generator(1)).equal(call(generator()))
    drawn = torch.randn(4, 2, 2, dtype=torch.float64, generator=generator())
    assert network(x, noise=drawn).objective.equal(network(x, generator=generator()).objective)


@every_network
@every_posterior
@every_prior
def test_it_learns(name, posterior, prior):
    """Bits that alternate, from one of two starts."""
    network = make(name, scale=1.0, features=2, posterior=posterior, prior=PRIORS[prior])
    first = torch.tensor([0.0, 1.0] * 4, dtype=torch.float64)
    x = torch.stack(
        [torch.stack([first, 1 - first], 1) if t % 2 else torch.stack([1 - first, first], 1) for t in range(6)]
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    before = {key: value.clone() for key, value in network.named_parameters()}
    objectives = []
    for step in range(60):
        objective = network(x, generator=generator(step)).objective
        optimizer.zero_grad()
        objective.backward()
        optimizer.step()
        objectives.append(objective.item())
    assert sum(objectives[-5:]) < 0.8 * sum(objectives[:5])
    assert [key for key, value in network.named_parameters() if value.equal(before[key])] == []
