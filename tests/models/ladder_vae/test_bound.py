"""The bounds of both networks against likelihoods that are integrated, and against their definitions."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from fastladder.models.ladder_vae.gaussians import GaussianHead
from tests.models.ladder_vae.tiny import KINDS, bits, generator, integrated_log_likelihood, tiny


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_many_importance_samples_come_to_the_likelihood(kind, likelihood):
    network, x = tiny(kind, likelihood=likelihood), bits()
    estimate = network.log_likelihood(x, 20_000, 2_000, generator=generator())
    torch.testing.assert_close(estimate, integrated_log_likelihood(network, x), rtol=0, atol=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_every_bound_is_below_the_likelihood_and_more_importance_samples_are_closer(kind):
    network, x = tiny(kind), bits()
    likelihood = integrated_log_likelihood(network, x).mean()
    bounds = [-network(x, 2_000, k, generator=generator()).objective for k in (1, 5, 50)]
    assert bounds[0] < bounds[1] < bounds[2] < likelihood + 0.005
    assert likelihood - bounds[2] < 0.2 * (likelihood - bounds[0])


@pytest.mark.parametrize("kind", KINDS)
def test_the_weight_of_equal_importance_samples_is_that_of_one(kind):
    """The bound has its 1 / K: a posterior that is certain has K equal samples."""
    network, x = tiny(kind, variance_floor=0.0), bits()
    with torch.no_grad():
        for head in [module for module in network.modules() if isinstance(module, GaussianHead)]:
            norm = head.mean_and_var.norm
            norm.bias.chunk(2)[1].fill_(-60.0)
            norm.weight.chunk(2)[1].zero_()
    bound = network(x, 1, 7, beta=0.0, generator=generator())
    torch.testing.assert_close(bound.objective, bound.reconstruction.mean(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_does_not_depend_on_its_chunks_beyond_what_is_drawn(kind):
    network, x = tiny(kind), bits()
    one, many = (network.log_likelihood(x, 4_000, chunk, generator=generator()) for chunk in (4_000, 300))
    torch.testing.assert_close(one, many, rtol=0, atol=0.05)
    torch.testing.assert_close(
        network.log_likelihood(x, 7, 50, generator=generator()),
        network(x, 1, 7, generator=generator()).log_weights[0].logsumexp(0) - math.log(7),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_the_bound(kind):
    network, x = tiny(kind, (3, 2)), bits()
    bound = network(x, 2, 3, generator=generator())
    assert bound.log_weights.shape == (2, 3, 4)
    assert bound.reconstruction.shape == (4,)
    assert [kl.shape for kl in bound.kl] == [(4,), (4,)]
    expected = -(bound.log_weights.logsumexp(1) - math.log(3)).mean()
    torch.testing.assert_close(bound.objective, expected)
    one = network(x, 5, generator=generator())
    torch.testing.assert_close(one.objective, one.reconstruction.mean() + sum(kl.mean() for kl in one.kl))


@pytest.mark.parametrize("kind", KINDS)
def test_warm_up_and_free_bits(kind):
    """Free bits come before the weight of the divergence."""
    network, x = tiny(kind, (3, 2)), bits()
    bound = network(x, generator=generator())
    means = [kl.mean() for kl in bound.kl]
    free = (means[0] + means[1]) / 2  # between the two, unless they are equal
    assert abs(means[0] - means[1]) > 1e-3
    got = network(x, beta=0.3, free_bits=free.item(), generator=generator()).objective
    expected = bound.reconstruction.mean() + 0.3 * (max(means[0], free) + max(means[1], free))
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("options", "weighed"), [((2, 1), {"free_bits": 9.0}), ((2, 3), {})])
def test_the_elbo_is_that_of_the_whole_divergence(kind, options, weighed):
    """Whatever warm-up and free bits make of it in the objective."""
    network, x = tiny(kind, (3, 2)), bits()
    elbo = network(x, *options, beta=0.3, **weighed, generator=generator()).elbo
    torch.testing.assert_close(elbo, -network(x, *options, generator=generator()).objective)
    assert not elbo.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_the_layers_of_a_bound_are_those_that_it_is_made_of(kind):
    network, x = tiny(kind, (3, 2)), bits()
    bound = network(x, 2, 3, generator=generator())
    assert [layer.z.shape for layer in bound.layers] == [(24, 3), (24, 2)]
    for layer, kl in zip(bound.layers, bound.kl, strict=True):
        torch.testing.assert_close(layer.units_kl.sum(1).view(6, 4).mean(0), kl)


@pytest.mark.parametrize("kind", KINDS)
def test_beta_is_inside_the_importance_weights(kind):
    network, x = tiny(kind, (3, 2)), bits()
    layers = network.encode(x, generator=generator())
    bound = network(x, 1, 2, beta=0.5, generator=generator())
    plain = network(x, 1, 2, beta=0.0, generator=generator())
    ratio = bound.log_weights - network(x, 1, 2, generator=generator()).log_weights
    assert ratio.abs().max() == 0  # the weights are not those of the warm-up
    assert plain.objective < bound.objective
    assert len(layers) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_divergences_of_all_layers_are_against_their_priors(kind):
    network, x = tiny(kind, (3, 2)), bits()
    layers = network.encode(x, generator=generator())
    for layer, z_above, prior in zip(layers, [layers[1].z, None], [*network.priors, None], strict=True):
        p = Normal(0.0, 1.0) if prior is None else Normal(prior(z_above).mean, prior(z_above).var.sqrt())
        q = Normal(layer.q.mean, layer.q.var.sqrt())
        expected = kl_divergence(q, p)
        torch.testing.assert_close(layer.units_kl, expected)
        torch.testing.assert_close(layer.kl, expected.sum(1))
        log_ratio = (p.log_prob(layer.z) - q.log_prob(layer.z)).sum(1)
        torch.testing.assert_close(layer.log_ratio, log_ratio)


def test_the_sample_that_goes_down_a_ladder_is_that_of_the_posterior():
    network, x = tiny(KINDS[1], (3, 2)), bits()
    lower, top = network.encode(x, generator=generator())
    t, d = network.downward[0](top.z), network.heads[0](network.reader(x))
    precision = 1 / t.var + 1 / d.var
    torch.testing.assert_close(lower.q.var, 1 / precision)
    torch.testing.assert_close(lower.q.mean, (t.mean / t.var + d.mean / d.var) / precision)
    noise = (lower.z - lower.q.mean) / lower.q.var.sqrt()
    generator_ = generator()
    torch.randn(4, 2, generator=generator_, dtype=torch.float64)
    torch.testing.assert_close(noise, torch.randn(4, 3, generator=generator_, dtype=torch.float64))


@pytest.mark.parametrize("kind", KINDS)
def test_reconstruction_is_summed_over_pixels(kind):
    network, x = tiny(kind, (3, 2)), bits()
    z = network.encode(x, generator=generator())[0].z
    logits = network.writer(z).squeeze(1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    torch.testing.assert_close(network(x, generator=generator()).reconstruction, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_a_gradient(kind):
    network = tiny(kind, (3, 2, 2)).train()
    network(bits(16), generator=generator()).objective.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
