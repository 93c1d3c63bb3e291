"""The divergence from a Wiener process: right by the joint densities of sequences, and as the reference at limits."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from fastladder import ops, reference

pytestmark = pytest.mark.usefixtures("fused")
either = pytest.mark.parametrize("exact", [True, False])


@pytest.fixture
def sequences(device):
    """Mean and variance of 7 time steps, 4 samples and 5 dimensions, in float32; variances from 0.01 to 50."""
    generator = torch.Generator().manual_seed(3)
    mean = 2 * torch.randn(7, 4, 5, generator=generator)
    var = (1.5 * torch.randn(7, 4, 5, generator=generator)).exp()
    return mean.to(device), var.to(device)


def of_increments(x):
    """The matrix that takes a sequence of T numbers to its increments from 0."""
    return torch.eye(len(x), dtype=x.dtype) - torch.diag(torch.ones(len(x) - 1, dtype=x.dtype), -1)


def assert_close(got, truth):
    torch.testing.assert_close(got.cpu().double(), truth, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("length", range(1, 8))
def test_the_first_steps_sum_to_the_divergence_of_the_joint_gaussians(sequences, length):
    """Whatever the length; z_s and z_t of a Wiener process have the covariance min(s, t)."""
    mean, var = (x[:length].cpu().double().movedim(0, -1) for x in sequences)  # (N, D, T)
    times = torch.arange(1.0, length + 1, dtype=torch.float64)
    prior = MultivariateNormal(torch.zeros(length, dtype=torch.float64), torch.minimum(times[:, None], times))
    truth = kl_divergence(MultivariateNormal(mean, torch.diag_embed(var)), prior).sum(1)
    assert_close(ops.wiener_kl(*sequences)[:length].sum(0), truth)


@either
def test_steps_beyond_the_end_of_a_sequence_are_left_out_by_a_mask(sequences, exact):
    """In values and in gradients; a sequence of a padded batch may have any length, or none."""
    lengths = torch.tensor([7, 3, 1, 0], device=sequences[0].device)
    mask = torch.arange(7, device=lengths.device)[:, None] < lengths
    padded = [x.clone().requires_grad_() for x in sequences]
    kl = ops.wiener_kl(*padded, exact=exact)
    gradients = torch.autograd.grad((kl * mask).sum(), padded)
    for n, length in enumerate(lengths.tolist()):
        alone = [x[:length, n : n + 1].clone().requires_grad_() for x in sequences]
        kl_alone = ops.wiener_kl(*alone, exact=exact)
        torch.testing.assert_close(kl[:length, n], kl_alone[:, 0])
        for x, y in zip(gradients, torch.autograd.grad(kl_alone.sum(), alone), strict=True):
            torch.testing.assert_close(x[:length, n], y[:, 0])
            assert not x[length:, n].any()


def test_the_shortcut_drops_the_covariances_of_increments(sequences):
    """What remains at every step is the divergence of its increment, taken alone, from white noise."""
    mean, var = (x.cpu().double().movedim(0, -1) for x in sequences)
    increments = of_increments(mean[0, 0])
    covariance = increments @ torch.diag_embed(var) @ increments.T
    deviation = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    zero, one = torch.zeros(7, dtype=torch.float64), torch.ones(7, dtype=torch.float64)
    truth = kl_divergence(Normal(mean @ increments.T, deviation), Normal(zero, one)).sum(1).T
    assert_close(ops.wiener_kl(*sequences, exact=False), truth)
    white = MultivariateNormal(zero, torch.diag(one))
    whole = kl_divergence(MultivariateNormal(mean @ increments.T, covariance), white).sum(1)
    assert_close(ops.wiener_kl(*sequences).sum(0), whole)


def test_the_shortcut_is_too_small_by_the_logarithms_of_each_step(sequences):
    exact, shortcut = ops.wiener_kl(*sequences), ops.wiener_kl(*sequences, exact=False)
    var = sequences[1].cpu().double()
    before = torch.cat([torch.zeros_like(var[:1]), var[:-1]])
    assert_close(exact, shortcut.cpu().double() + 0.5 * (1 + before / var).log().sum(2))
    assert torch.equal(shortcut[0], exact[0])
    assert (shortcut[1:] < exact[1:]).all()


def test_no_variance_makes_it_less_than_half_log_two_a_step(device):
    """The least divergence of T independent steps is (T - 1) / 2 log 2, at variances of 1/2 and, at the end, 1."""
    steps = 9
    generator = torch.Generator().manual_seed(5)
    var = torch.randn(steps, 2000, 1, generator=generator).exp().to(device)
    var[:, 0] = 0.5
    var[-1, 0] = 1
    kl = ops.wiener_kl(torch.zeros_like(var), var).sum(0).cpu()
    least = (steps - 1) / 2 * math.log(2)
    assert kl[0].item() == pytest.approx(least, rel=1e-6)
    assert (kl[1:] > least).all()


@either
def test_zero_and_negative_and_extreme_variances(exact, device):
    """Infinity and NaN come where the reference has them, in values and in gradients."""
    cotangent = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 4.0]], device=device)
    for value in (0.0, -0.0, -1.0, -1e-30, 1e-37, 1e-20, 1e20, 1e37, math.inf, -math.inf, math.nan):
        for step in range(3):
            mean, var = torch.ones(3, 2, 5, device=device), torch.ones(3, 2, 5, device=device)
            var[step, 1, 2] = value
            results = []
            for where in (ops, reference):
                leaves = mean.clone().requires_grad_(), var.clone().requires_grad_()
                kl = where.wiener_kl(*leaves, exact=exact)
                results.append([kl, *torch.autograd.grad(kl, leaves, cotangent)])
            for got, expected in zip(*results, strict=True):
                torch.testing.assert_close(got, expected, equal_nan=True, msg=f"variance {value} at step {step}")


@either
def test_many_features_keep_their_precision(exact, device):
    """More than one thread, program or vector takes at once."""
    generator = torch.Generator().manual_seed(9)
    mean = torch.randn(3, 2, 5001, generator=generator).to(device)
    var = torch.full_like(mean, 0.7)
    truth = reference.wiener_kl(mean.cpu().double(), var.cpu().double(), exact=exact)
    torch.testing.assert_close(ops.wiener_kl(mean, var, exact=exact).cpu().double(), truth, rtol=1e-6, atol=0)


@either
@pytest.mark.parametrize("shape", [(0, 2, 3), (4, 0, 3), (4, 2, 0)], ids=["no-steps", "no-samples", "no-features"])
def test_empty_sequences(shape, exact, device):
    mean = torch.ones(shape, device=device, requires_grad=True)
    kl = ops.wiener_kl(mean, torch.ones(shape, device=device), exact=exact)
    assert torch.equal(kl, torch.zeros(shape[:2], device=device))
    (gradient,) = torch.autograd.grad(kl.sum(), mean)
    assert gradient.shape == shape


def test_sums_are_float32(sequences):
    mean, var = (x.bfloat16() for x in sequences)
    kl = ops.wiener_kl(mean, var)
    assert kl.dtype == torch.float32
    assert_close(kl, reference.wiener_kl(mean.cpu().double(), var.cpu().double()))


def test_bad_arguments_are_refused():
    mean = torch.ones(4, 2, 3)
    with pytest.raises(ValueError, match=r"mean: got shape \(2, 3\), needs \(T, N, D\)"):
        ops.wiener_kl(mean[0], mean[0])
    with pytest.raises(ValueError, match=r"mean: got shape \(4, 2, 3, 1\), needs \(T, N, D\)"):
        ops.wiener_kl(mean[..., None], mean[..., None])
    with pytest.raises(ValueError, match=r"var: got shape \(4, 2, 1\), needs \(4, 2, 3\) to go with mean"):
        ops.wiener_kl(mean, mean[..., :1])
    with pytest.raises(TypeError, match=r"var: got dtype torch.float64, needs torch.float32 like mean"):
        ops.wiener_kl(mean, mean.double())
    with pytest.raises(TypeError, match=r"mean: got dtype torch.int64, needs one of torch.float32"):
        ops.wiener_kl(mean.long(), mean.long())
    with pytest.raises(TypeError, match="mean: got list, needs a tensor"):
        ops.wiener_kl([0.0], mean)
    with pytest.raises(TypeError, match="var: got float, needs a tensor"):
        ops.wiener_kl(mean, 1.0)
    with pytest.raises(ValueError, match="var: got device meta, needs cpu like mean"):
        ops.wiener_kl(mean, mean.to("meta"))
    with pytest.raises(TypeError, match="exact: got 'yes', needs True or False"):
        ops.wiener_kl(mean, mean, exact="yes")
