"""Fast dropout of a linear layer against masks that are drawn, and against `torch.nn.Linear`."""

import math

import pytest
import torch
from torch import nn

from fastladder.nn import FastDropoutLinear

NONLINEARITIES = {"none": lambda x: x, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


def drawn(layer, mean, var, samples):
    """Samples (samples, out_features) of the layer's output for one input (in_features,), with masks drawn."""
    x = mean + var.sqrt() * torch.randn(samples, mean.shape[0], dtype=mean.dtype)
    mask = torch.rand_like(x) >= layer.rates()
    return NONLINEARITIES[layer.nonlinearity](nn.functional.linear(mask * x, layer.weight, layer.bias))


def assert_sampled(samples, mean, var, floor=0.0):
    """Holds mean and variance to those of samples within 4.5 standard errors of each, and a floor."""
    count = samples.shape[0]
    centred = samples - samples.mean(0)
    errors = samples.std(0) / math.sqrt(count), centred.square().std(0) / math.sqrt(count)
    for ours, sampled, error in zip((mean, var), (samples.mean(0), samples.var(0)), errors, strict=True):
        assert ((ours - sampled).abs() < 4.5 * error + floor).all()


@pytest.mark.parametrize("learned_rate", [False, True])
@torch.no_grad()
def test_moments_are_those_of_masks(learned_rate):
    layer = FastDropoutLinear(6, 3, rate=0.3, learned_rate=learned_rate, dtype=torch.float64)
    mean, var = torch.randn(6, dtype=torch.float64), torch.rand(6, dtype=torch.float64)
    samples = drawn(layer, mean, var, 200_000)
    assert_sampled(samples, *(moment[0] for moment in layer(mean[None], var[None])))
    if not learned_rate:  # other rates are told apart
        layer.rate = 0.32
        with pytest.raises(AssertionError):
            assert_sampled(samples, *(moment[0] for moment in layer(mean[None], var[None])))


@pytest.mark.parametrize("nonlinearity", ["tanh", "sigmoid", "relu"])
@torch.no_grad()
def test_moments_of_nonlinearities_are_nearly_those_of_masks(nonlinearity):
    """Nearly, as the sum of 200 terms is nearly Gaussian."""
    layer = FastDropoutLinear(200, 3, rate=0.2, nonlinearity=nonlinearity, dtype=torch.float64)
    nn.init.normal_(layer.weight, std=0.1)
    mean, var = torch.randn(200, dtype=torch.float64), torch.rand(200, dtype=torch.float64)
    assert_sampled(drawn(layer, mean, var, 20_000), *(moment[0] for moment in layer(mean[None], var[None])), floor=4e-3)


@pytest.mark.parametrize("shape", [(4,), (2, 5), (2, 3, 4)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("nonlinearity", "tolerance"), [("none", 1e-6), ("relu", 1e-6), ("tanh", 2e-4)])
def test_without_dropout_and_variance_it_is_torch_linear(shape, bias, nonlinearity, tolerance):
    theirs = nn.Linear(3, 6, bias=bias)
    ours = FastDropoutLinear(3, 6, bias=bias, rate=0, nonlinearity=nonlinearity)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(*shape, 3)
    mean, var = ours(x)
    assert mean.shape == var.shape == (*shape, 6)
    torch.testing.assert_close(mean, NONLINEARITIES[nonlinearity](theirs(x)), rtol=0, atol=tolerance)
    assert var.abs().max() <= 4e-4
    if nonlinearity != "tanh":
        assert var.eq(0).all()


@torch.no_grad()
def test_rates_of_zero_and_one():
    layer = FastDropoutLinear(3, 4, rate=0)
    mean, var = torch.randn(2, 3), torch.rand(2, 3)
    torch.testing.assert_close(layer(mean, var)[1], var @ layer.weight.square().t())
    layer.rate = 1
    torch.testing.assert_close(layer(mean, var)[0], layer.bias.expand(2, 4))
    assert layer(mean, var)[1].eq(0).all()


def test_a_missing_variance_is_zero_and_evaluation_is_training():
    layer = FastDropoutLinear(3, 4, nonlinearity="tanh", learned_rate=True)
    x = torch.randn(2, 3)
    needed = layer(x, torch.zeros_like(x))
    for results in (layer(x), layer.eval()(x)):
        for ours, theirs in zip(results, needed, strict=True):
            assert torch.equal(ours, theirs)


def test_learned_rates():
    layer = FastDropoutLinear(2000, 1, learned_rate=True)
    assert abs(layer.rate_logit.mean()) < 0.1
    assert layer.rate_logit.std().item() == pytest.approx(1, abs=0.1)
    with torch.no_grad():
        layer.rate_logit[:3] = torch.tensor([-1e9, 0, 1e9])
    torch.testing.assert_close(layer.rates()[:3], torch.tensor([0.025, 0.5, 0.975]))


@pytest.mark.parametrize("learned_rate", [False, True])
@pytest.mark.parametrize("nonlinearity", ["none", "tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("moments", ["erf3", "wang_manning", "breze"])
def test_gradients(learned_rate, nonlinearity, moments):
    layer = FastDropoutLinear(
        3, 2, learned_rate=learned_rate, nonlinearity=nonlinearity, moments=moments, dtype=torch.float64
    )
    names = [name for name, _ in layer.named_parameters()]

    def run(mean, var, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (mean, var))

    inputs = [torch.randn(4, 3, dtype=torch.float64), torch.rand(4, 3, dtype=torch.float64) + 0.2]
    assert torch.autograd.gradcheck(
        run, [x.requires_grad_() for x in [*inputs, *(p.detach().clone() for p in layer.parameters())]]
    )


def test_initial_values_and_names():
    layer = FastDropoutLinear(64, 50, learned_rate=True)
    assert list(layer.state_dict()) == ["weight", "bias", "rate_logit"]
    assert list(FastDropoutLinear(64, 50, bias=False).state_dict()) == ["weight"]
    for parameter in (layer.weight, layer.bias):
        assert 0.9 / 8 < parameter.abs().max() <= 1 / 8


X = torch.rand(4, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: FastDropoutLinear(0, 3), ValueError, "in_features: got 0"),
        (lambda: FastDropoutLinear(2, "3"), TypeError, "out_features: got '3'"),
        (lambda: FastDropoutLinear(2, 3, rate=1.1), ValueError, "rate: got 1.1, needs a probability from 0 to 1"),
        (lambda: FastDropoutLinear(2, 3, bias=1), TypeError, "bias: got 1"),
        (lambda: FastDropoutLinear(2, 3, learned_rate=0.1), TypeError, "learned_rate: got 0.1"),
        (lambda: FastDropoutLinear(2, 3, nonlinearity="gelu"), ValueError, "nonlinearity: got 'gelu', needs one of"),
        (lambda: FastDropoutLinear(2, 3, moments="delta"), ValueError, "moments: got 'delta', needs one of 'erf3'"),
        (lambda: FastDropoutLinear(2, 3)([X]), TypeError, "mean: got list, needs a tensor"),
        (lambda: FastDropoutLinear(3, 3)(X), ValueError, r"mean: got shape \(4, 2\), needs \(N, \*, 3\)"),
        (lambda: FastDropoutLinear(2, 3)(X[0]), ValueError, r"mean: got shape \(2,\), needs \(N, \*, 2\)"),
        (lambda: FastDropoutLinear(2, 3)(X, X[:1]), ValueError, r"var: got shape \(1, 2\), needs \(4, 2\)"),
        (lambda: FastDropoutLinear(2, 3)(X, 0.0), TypeError, "var: got float, needs a tensor"),
        (lambda: FastDropoutLinear(2, 3)(X, X.double()), TypeError, "var: got dtype torch.float64, needs"),
        (lambda: FastDropoutLinear(2, 3)(X.double()), TypeError, "mean: got dtype torch.float64, needs torch.float32"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
