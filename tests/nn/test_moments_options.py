"""The choices of moments, against numerical integration and the formulas of their sources."""

import math

import pytest
import torch

from fastladder import ops
from fastladder.nn.moments import moments_of

MEANS, VARIANCES = torch.linspace(-6, 6, 25, dtype=torch.float64), torch.tensor([0.0, 0.01, 0.3, 1, 4, 16]).double()
NONLINEARITIES = {"none": lambda x: x, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}


def grid():
    mean, var = torch.meshgrid(MEANS, VARIANCES, indexing="ij")
    return mean, var


def integrated(function, mean, var):
    """Mean and variance of function(x) for x from N(mean, var), by the trapezoidal rule."""
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64)
    weight = torch.exp(-z * z / 2) * (z[1] - z[0]) / math.sqrt(2 * math.pi)
    values = function(mean[..., None] + var.sqrt()[..., None] * z)
    expected = (values * weight).sum(-1)
    return expected, ((values - expected[..., None]).square() * weight).sum(-1)


# Tolerances of mean and variance: what is known of the approximations, and for exact moments the integration.
@pytest.mark.parametrize(
    ("moments", "nonlinearity", "tolerances"),
    [
        ("erf3", "tanh", (2e-4, 4e-4)),
        ("erf3", "sigmoid", (1e-4, 1e-4)),
        ("wang_manning", "tanh", (0.033, 0.11)),
        ("wang_manning", "sigmoid", (0.0165, 0.0275)),
        ("breze", "sigmoid", (0.0165, 0.0275)),
        *((moments, "relu", (1e-5, 1e-4)) for moments in ("erf3", "wang_manning", "breze")),
        *((moments, "none", (1e-12, 1e-12)) for moments in ("erf3", "wang_manning", "breze")),
    ],
)
def test_moments_are_those_of_the_nonlinearity(moments, nonlinearity, tolerances):
    mean, var = grid()
    results = moments_of(nonlinearity, moments)(mean, var)
    needed = integrated(NONLINEARITIES[nonlinearity], mean, var)
    for ours, true, tolerance in zip(results, needed, tolerances, strict=True):
        assert (ours - true).abs().max() < tolerance


def test_the_tanh_of_breze_is_that_of_half_the_input():
    mean, var = grid()
    expected, variance = moments_of("tanh", "breze")(mean, var)
    true = integrated(lambda x: torch.tanh(x / 2), mean, var)
    assert (expected - true[0]).abs().max() < 0.033
    assert (variance - true[1]).abs().max() < 0.11
    assert (expected - integrated(torch.tanh, mean, var)[0]).abs().max() > 0.2
    sigmoid, spread = moments_of("sigmoid", "breze")(mean, var)
    torch.testing.assert_close(expected, 2 * sigmoid - 1)
    torch.testing.assert_close(variance, 4 * spread)


def test_wang_manning_by_hand():
    """At mean 1 and variance 2; and its error where x has no variance, which erf3 does not have."""
    expected, variance = moments_of("sigmoid", "wang_manning")(*torch.tensor([[[1.0]], [[2.0]]], dtype=torch.float64))
    assert expected.item() == pytest.approx(1 / (1 + math.exp(-1 / math.sqrt(1 + math.pi / 4))), abs=1e-12)
    a, b = 1.1715728752538097, 0.8813735870195429
    second = 1 / (1 + math.exp(-a * (1 - b) / math.sqrt(1 + math.pi * a * a / 4)))
    assert variance.item() == pytest.approx(second - expected.item() ** 2, abs=1e-12)
    mean = MEANS[None]
    assert moments_of("tanh", "wang_manning")(mean, torch.zeros_like(mean))[1].max() > 0.1
    assert moments_of("tanh", "erf3")(mean, torch.zeros_like(mean))[1].max() < 4e-4


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("moments", ["erf3", "wang_manning", "breze"])
def test_gradients_variances_and_dtypes(moments, nonlinearity):
    torch.manual_seed(1)
    function = moments_of(nonlinearity, moments)
    mean, var = torch.randn(3, 4, dtype=torch.float64), torch.rand(3, 4, dtype=torch.float64) + 0.5
    assert torch.autograd.gradcheck(function, (mean.requires_grad_(), var.requires_grad_()))
    if nonlinearity != "none":
        assert function(*grid())[1].min() >= 0
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        narrow = function(mean.to(dtype), var.to(dtype))
        assert {y.dtype for y in narrow} == {dtype}
        for ours, needed in zip(narrow, function(mean, var), strict=True):
            torch.testing.assert_close(ours.double(), needed, rtol=0.02, atol=0.02)


def test_the_default_calls_the_operators():
    mean, var = torch.randn(2, 3), torch.rand(2, 3)
    for name in ("tanh", "sigmoid", "relu"):
        for ours, needed in zip(moments_of(name)(mean, var), getattr(ops, f"{name}_moments")(mean, var), strict=True):
            assert torch.equal(ours, needed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gelu",), "nonlinearity: got 'gelu', needs one of 'none', 'relu', 'tanh', 'sigmoid'"),
        (("tanh", "delta"), "moments: got 'delta', needs one of 'erf3', 'wang_manning', 'breze'"),
    ],
)
def test_an_option_that_does_not_exist_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        moments_of(*arguments)
