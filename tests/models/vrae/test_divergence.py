"""Every pair of posterior and prior against dense multivariate normal distributions."""

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from fastladder.models.vrae.posterior import PathPosterior, PosteriorHead, recur
from fastladder.models.vrae.prior import prior_of
from tests.models.vrae.tiny import KERNELS, PRIORS

T, N, D = 6, 3, 2
DOUBLE = {"dtype": torch.float64}


def path(carry=None, steps=T):
    """A posterior with random parameters. carry: None, "random", or the number that it is throughout."""
    offset, spread = torch.randn(steps, N, D, **DOUBLE), torch.rand(steps, N, D, **DOUBLE) + 0.1
    if carry is None:
        return PathPosterior(offset, spread, None, offset, spread)
    a = 2 * torch.rand(steps, N, D, **DOUBLE) - 1 if carry == "random" else torch.full_like(offset, carry)
    return PathPosterior(recur(a, offset), recur(a.square(), spread), a, offset, spread)


def dense(posterior):
    """Its distribution over the T steps of each of N * D sequences, from z_t - a_t z_(t-1) = b_t + sqrt(w_t) noise."""
    carry = torch.zeros_like(posterior.mean) if posterior.carry is None else posterior.carry
    rows = [moment.movedim(0, -1) for moment in (carry, posterior.offset, posterior.spread)]
    inverse = (torch.eye(len(carry), **DOUBLE) - torch.diag_embed(rows[0][..., 1:], -1)).inverse()
    return MultivariateNormal((inverse @ rows[1][..., None])[..., 0], inverse @ rows[2].diag_embed() @ inverse.mT)


def dense_prior(name, steps=T):
    return MultivariateNormal(torch.zeros(steps, **DOUBLE), KERNELS[name][:steps, :steps])


def exact(prior, posterior="markov"):
    return prior_of(prior, "exact", posterior, dtype=torch.float64)


@pytest.mark.parametrize("carry", [None, "random", 1.0])
@pytest.mark.parametrize("name", PRIORS)
def test_divergence_of_every_leading_block(name, carry):
    """The sum over the first t steps is the divergence of the first t steps, as sequences of length t need."""
    posterior = path(carry)
    kl = exact(PRIORS[name]).divergence(posterior)
    for steps in range(1, T + 1):
        head = PathPosterior(*(None if part is None else part[:steps] for part in posterior))
        needed = kl_divergence(dense(head), dense_prior(name, steps)).sum(1)
        torch.testing.assert_close(kl[:steps].sum(0), needed)


@pytest.mark.parametrize("carry", [None, "random"])
@pytest.mark.parametrize("name", PRIORS)
def test_densities(name, carry):
    posterior, z = path(carry), torch.randn(T, N, D, **DOUBLE)
    rows = z.movedim(0, -1)
    torch.testing.assert_close(posterior.log_density(z).sum(0), dense(posterior).log_prob(rows).sum(1))
    torch.testing.assert_close(exact(PRIORS[name]).log_density(z).sum(0), dense_prior(name).log_prob(rows).sum(1))


@pytest.mark.parametrize("carry", [None, "random"])
@pytest.mark.parametrize("name", ["wiener", "white"])
def test_a_kernel_matrix_gives_what_the_name_gives(name, carry):
    posterior, z = path(carry), torch.randn(T, N, D, **DOUBLE)
    named, kernel = exact(name), exact(KERNELS[name])
    torch.testing.assert_close(kernel.divergence(posterior), named.divergence(posterior))
    torch.testing.assert_close(kernel.log_density(z), named.log_density(z))
    torch.testing.assert_close(kernel.colour(z), named.colour(z))


@pytest.mark.parametrize("name", PRIORS)
def test_a_chain_without_carry_is_diagonal(name):
    chain = path(0.0)
    diagonal = PathPosterior(chain.offset, chain.spread, None, chain.offset, chain.spread)
    torch.testing.assert_close(exact(PRIORS[name]).divergence(chain), exact(PRIORS[name]).divergence(diagonal))


def test_the_chain_has_the_published_closed_form_from_a_wiener_process():
    q = path("random")
    m, v = (torch.cat([torch.zeros_like(x[:1]), x[:-1]]) for x in (q.mean, q.var))
    terms = q.spread + (q.carry - 1) ** 2 * v + ((q.carry - 1) * m + q.offset) ** 2 - 1 - q.spread.log()
    torch.testing.assert_close(exact("wiener").divergence(q), terms.sum(2) / 2)


def test_the_shortcut_is_too_small_by_the_total_correlation_of_the_increments():
    posterior = path()
    shortcut = prior_of("wiener", "shortcut", "diagonal").divergence(posterior)
    v = posterior.var
    missing = (1 + torch.cat([torch.zeros_like(v[:1]), v[:-1]]) / v).log().sum(2) / 2
    torch.testing.assert_close(shortcut, exact("wiener").divergence(posterior) - missing)


@pytest.mark.parametrize("carry", [None, "random"])
def test_samples_have_mean_and_covariance_of_the_posterior(carry):
    q = path(carry, steps=4)
    count = 200_000
    wide = PathPosterior(*(None if x is None else x.repeat(1, count // N, 1) for x in q))
    z = wide.sample(torch.randn(wide.mean.shape, **DOUBLE)).unflatten(1, (-1, N))
    for n in range(N):
        for d in range(D):
            own = dense(q)
            drawn = z[:, :, n, d]
            torch.testing.assert_close(drawn.mean(1), own.mean[n, d], rtol=0, atol=0.03)
            torch.testing.assert_close(drawn.cov(), own.covariance_matrix[n, d], rtol=0, atol=0.05)
    torch.testing.assert_close(dense(q).mean, q.mean.movedim(0, -1))
    torch.testing.assert_close(dense(q).variance, q.var.movedim(0, -1))


@pytest.mark.parametrize("name", PRIORS)
def test_samples_of_the_prior_have_its_covariance(name):
    z = exact(PRIORS[name]).colour(torch.randn(4, 100_000, 1, **DOUBLE))[:, :, 0]
    torch.testing.assert_close(z.cov(), KERNELS[name][:4, :4], rtol=0, atol=0.06)


def test_the_head_of_a_chain_continues_from_the_step_before():
    head = PosteriorHead(5, D, posterior="markov", moments="erf3", **DOUBLE)
    mean, var = torch.randn(T, N, 5, **DOUBLE), torch.rand(T, N, 5, **DOUBLE)
    whole = head(mean, var)
    first = head(mean[:2], var[:2])
    second = head(mean[2:], var[2:], (first.mean[-1], first.var[-1]))
    for parts in zip(whole, first, second, strict=True):
        torch.testing.assert_close(torch.cat(parts[1:]), parts[0])


def test_the_head_is_mean_and_variance_of_a_layer_with_a_floor():
    head = PosteriorHead(5, D, posterior="diagonal", moments="erf3", **DOUBLE)
    mean, var = torch.randn(T, N, 5, **DOUBLE), torch.rand(T, N, 5, **DOUBLE)
    expected, variance = head.step(mean, var)
    posterior = head(mean, var)
    assert posterior.carry is None
    assert posterior.mean.equal(expected)
    assert posterior.var.equal(variance + 1e-4)
    torch.testing.assert_close(head(0 * mean, 0 * var).var, torch.full((T, N, D), 1e-4, **DOUBLE))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("wiener", "kld", "diagonal"), "kl: got 'kld', needs one of 'exact', 'shortcut'"),
        (("wiener", "shortcut", "markov"), "kl: got 'shortcut', needs prior='wiener' and posterior='diagonal'"),
        (("white", "shortcut", "diagonal"), "kl: got 'shortcut', needs prior='wiener' and posterior='diagonal'"),
        ((torch.eye(2), "shortcut", "diagonal"), "kl: got 'shortcut', needs prior='wiener'"),
        (("brown", "exact", "diagonal"), "prior: got 'brown', needs one of 'wiener', 'white'"),
        ((torch.ones(2, 3), "exact", "diagonal"), r"prior: got torch.float32 of shape \(2, 3\), needs floats"),
        ((torch.eye(2).long(), "exact", "diagonal"), r"prior: got torch.int64 of shape \(2, 2\), needs floats"),
        ((torch.tensor([[1.0, 0.5], [0.0, 1.0]]), "exact", "diagonal"), "prior: got a matrix that is not symmetric"),
        ((torch.ones(2, 2), "exact", "diagonal"), "prior: got a matrix whose leading 2 rows are not positive definite"),
    ],
)
def test_bad_priors_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        prior_of(*arguments)
