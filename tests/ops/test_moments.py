"""Moments of nonlinearities under a Gaussian input: right by integration, and finite for any variance."""

import pytest
import torch

from fastladder import ops, reference

FUNCTIONS = {"tanh_moments": torch.tanh, "sigmoid_moments": torch.sigmoid, "relu_moments": torch.relu}
# The errors of mean and variance, for means within 6 and variances up to 64. Those of relu are of the integration.
ACCURACY = {"tanh_moments": (2e-4, 4e-4), "sigmoid_moments": (4e-5, 1e-4), "relu_moments": (1e-6, 1e-5)}

every_operator = pytest.mark.parametrize("name", FUNCTIONS)
pytestmark = pytest.mark.usefixtures("fused")


def integrated(function, mean, var):
    """Mean and variance by a sum over a fine grid of the Gaussian, in float64."""
    grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    weights = (-grid.square() / 2).exp()
    weights = weights / weights.sum()
    values = function(mean.double()[..., None] + var.double().sqrt()[..., None] * grid)
    expected = values @ weights
    return expected, (values - expected[..., None]).square() @ weights


@every_operator
def test_the_moments_are_those_of_the_function(name, device):
    mean = torch.linspace(-6, 6, 25).expand(8, 25).contiguous()
    var = torch.tensor([0.0, 1e-4, 0.01, 0.1, 1.0, 4.0, 16.0, 64.0])[:, None].expand(8, 25).contiguous()
    got = getattr(ops, name)(mean.to(device), var.to(device))
    truth = integrated(FUNCTIONS[name], mean, var)
    for ours, theirs, allowed in zip(got, truth, ACCURACY[name], strict=True):
        scale = theirs.abs().clamp_min(1)
        assert ((ours.cpu().double() - theirs) / scale).abs().max() < allowed


@every_operator
def test_values_and_gradients_are_finite_at_any_variance(name, device):
    means = torch.tensor([0.0, 1e-8, -3.0, 3.0, -1e4, 1e4], device=device)
    for variance in (0.0, 1e-38, 1e-20, 1e-3, 1e6, 1e30):
        mean = means[None].clone().requires_grad_()
        var = torch.full_like(means, variance)[None].requires_grad_()
        expected, spread = getattr(ops, name)(mean, var)
        gradients = torch.autograd.grad([expected, spread], [mean, var], [torch.ones_like(means)[None]] * 2)
        for numbers in (expected, spread, *gradients):
            assert numbers.isfinite().all(), (variance, numbers)
        assert (spread >= 0).all()


def test_without_variance_relu_is_itself(device):
    mean = torch.tensor([[-2.0, -1e-3, 0.0, 1e-3, 2.0]], device=device)
    expected, spread = ops.relu_moments(mean, torch.zeros_like(mean))
    torch.testing.assert_close(expected, mean.relu(), atol=1e-12, rtol=0)
    assert not spread.any()


def test_a_small_mean_keeps_its_relative_precision(device):
    mean = torch.tensor([[1e-6, -1e-5, 1e-4, 1e-3]], device=device)
    var = torch.full_like(mean, 0.25)
    expected, _ = ops.tanh_moments(mean, var)
    truth, _ = reference.tanh_moments(mean.double().cpu(), var.double().cpu())
    torch.testing.assert_close(expected.double().cpu(), truth, rtol=2e-6, atol=0)


@every_operator
def test_bad_arguments_are_refused(name):
    operator, mean = getattr(ops, name), torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"var: got shape \(2, 4\), needs \(2, 3\) to go with mean"):
        operator(mean, torch.zeros(2, 4))
    with pytest.raises(TypeError, match=r"var: got dtype torch.float64, needs torch.float32 like mean"):
        operator(mean, mean.double())
    with pytest.raises(ValueError, match=r"mean: got shape \(3,\), needs \(N, C, \*S\)"):
        operator(mean[0], mean[0])
    with pytest.raises(TypeError, match="mean: got list, needs a tensor"):
        operator([0.0], mean)
