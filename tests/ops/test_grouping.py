"""The grouping family beyond the contract: its identities, and finite results for inputs in far tails."""

from functools import partial

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, MixtureSameFamily, Normal

import fastladder
from fastladder import ops
from tests.ops.contract import distance

N, K, D = 3, 4, (5, 2)
DELTAS = ("residual", "weighted", "gradient")
FLIPS = 0.2

pytestmark = pytest.mark.usefixtures("fused")
every_delta = pytest.mark.parametrize("delta", DELTAS)


@pytest.fixture
def data(random):
    return random(N, *D)


@pytest.fixture
def binary(random):
    return (random(N, *D) > 0).float()


@pytest.fixture
def mean(random):
    return random(N, K, *D)


@pytest.fixture
def mask(random):
    return random(N, K, *D).softmax(1)


@pytest.fixture
def hard_mask(mask):
    """Exact zeros and ones."""
    return (mask == mask.amax(1, keepdim=True)).float()


def with_gradients(function, *inputs):
    """Outputs, and the gradients of all inputs."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    outputs = function(*leaves)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    generator = torch.Generator().manual_seed(1)
    cotangents = [torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y) for y in outputs]
    return [*outputs, *torch.autograd.grad(outputs, leaves, cotangents)]


def assert_true(function, *inputs, gradients=True):
    """All results are finite and equal to those of the reference in float64, relative to the largest true value."""
    got = with_gradients(function, *inputs)
    with fastladder.use_backend("reference"):
        truth = with_gradients(function, *(x.double() for x in inputs))
    assert all(x.isfinite().all() for x in got)
    compared = len(got) if gradients else len(got) - len(inputs)
    for x, y in zip(got[:compared], truth[:compared], strict=True):
        assert (x - y).abs().max() <= 1e-5 * y.abs().max().clamp_min(1)


@every_delta
@pytest.mark.parametrize("function", [ops.group_evidence, ops.group_features])
def test_evidence_far_from_every_group(function, delta, data, mean, mask, device):
    """With errors of 1e4 and a variance of 1e-4 exponents are -5e11, and one group takes all."""
    mean, variance = (1e4 * mean).round(), torch.tensor(1e-4, device=device)  # both are exact in float32
    evidence = partial(function, noise_variance=0, delta=delta)
    # The derivative of the "gradient" has slopes of (1e4 / 1e-4)^2 that cancel in exact arithmetic only.
    assert_true(evidence, data.round(), mean, mask, variance, gradients=delta != "gradient")


@every_delta
def test_evidence_with_hard_masks(delta, data, mean, hard_mask, device):
    """Some masks are 0 for the group that explains the input, and 1 for one that does not explain it at all."""
    evidence = partial(ops.group_evidence, noise_variance=0.01, delta=delta)
    assert_true(evidence, data, mean, hard_mask, torch.tensor(0.3, device=device))
    assert_true(evidence, data.round(), (1e3 * mean).round(), hard_mask, torch.tensor(0.99, device=device))


@pytest.mark.parametrize("flip_probability", [0.0, FLIPS])
def test_binary_evidence_with_hard_masks(flip_probability, binary, mean, hard_mask):
    """Without flips the probability of an observed element may be as low as sigmoid(-10)."""
    probability = (5 * mean.clamp(-2, 2)).sigmoid()
    evidence = partial(ops.group_evidence_bernoulli, flip_probability=flip_probability)
    assert_true(evidence, binary, probability, hard_mask)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_mixture_far_from_every_group(scale, data, mean, device):
    logits, variance = scale * mean.flip(0), torch.tensor(1e-4, device=device)
    assert_true(ops.group_mixture_nll, data.round(), (1e4 * mean).round(), logits, variance)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_binary_mixture_far_from_every_group(scale, binary, mean):
    assert_true(ops.group_mixture_nll_bernoulli, binary, 500 * mean.sign(), scale * mean.flip(0))


@pytest.mark.parametrize("variance", [0.3, 2.0])
def test_gradient_delta_is_that_of_the_weighted_likelihood(variance, data, mean, mask):
    """Eq. 28, against central differences of log sum_h m_h a_h."""
    x, z, m, step = data.double()[:, None], mean.double(), mask.double(), 1e-5

    def log_likelihood(z):
        return (m * Normal(z, variance**0.5).log_prob(x).exp()).sum(1, keepdim=True).log()

    delta, _ = ops.group_evidence(data, mean, mask, variance / 2, variance / 2, delta="gradient")
    for k in range(K):
        shift = step * torch.eye(K, dtype=z.dtype, device=z.device)[k].view(1, K, 1, 1)
        slope = (log_likelihood(z + shift) - log_likelihood(z - shift)) / (2 * step)
        assert distance(delta[:, k], slope[:, 0]) < 1e-5


def test_binary_delta_is_the_gradient_of_the_weighted_likelihood(binary, mean, mask):
    """Appendix A.5, against central differences of log sum_h m_h a_h."""
    probability = mean.sigmoid()
    x, z, m, step = binary.double()[:, None], probability.double(), mask.double(), 1e-5

    def log_likelihood(z):
        flipped = z * (1 - FLIPS) + (1 - z) * FLIPS
        return (m * Bernoulli(flipped).log_prob(x).exp()).sum(1, keepdim=True).log()

    delta, _ = ops.group_evidence_bernoulli(binary, probability, mask, FLIPS)
    for k in range(K):
        shift = step * torch.eye(K, dtype=z.dtype, device=z.device)[k].view(1, K, 1, 1)
        slope = (log_likelihood(z + shift) - log_likelihood(z - shift)) / (2 * step)
        assert distance(delta[:, k], slope[:, 0]) < 1e-5


@every_delta
def test_features_are_the_inputs_and_the_evidence(delta, data, mean, mask):
    evidence = ops.group_evidence(data, mean, mask, 0.5, 0.2, delta=delta)
    features = ops.group_features(data, mean, mask, 0.5, 0.2, delta=delta)
    assert torch.equal(features, torch.stack([mean, mask, *evidence], 2))
    assert features.is_contiguous()


def test_binary_features_are_the_inputs_and_the_evidence(binary, mean, mask):
    evidence = ops.group_evidence_bernoulli(binary, mean.sigmoid(), mask, FLIPS)
    features = ops.group_features_bernoulli(binary, mean.sigmoid(), mask, FLIPS)
    assert torch.equal(features, torch.stack([mean.sigmoid(), mask, *evidence], 2))


@every_delta
def test_a_single_group_explains_everything(delta, data, mean, device):
    one = torch.ones(N, 1, *D, device=device)
    shown, likelihood = ops.group_evidence(data, mean[:, :1], one, 0.5, 0.2, delta=delta)
    assert torch.equal(likelihood, one)
    error = data[:, None] - mean[:, :1]
    a = Normal(mean[:, :1], 0.7**0.5).log_prob(data[:, None]).exp()
    torch.testing.assert_close(shown, {"residual": error, "weighted": a * error, "gradient": error / 0.7}[delta])


def test_a_single_binary_group_explains_everything(binary, mean, device):
    one = torch.ones(N, 1, *D, device=device)
    _, likelihood = ops.group_evidence_bernoulli(binary, mean[:, :1].sigmoid(), one, FLIPS)
    torch.testing.assert_close(likelihood, one)


def test_only_the_sum_of_the_variances_counts(data, mean, mask, device):
    numbers = ops.group_evidence(data, mean, mask, 0.25, 0.5)
    tensors = ops.group_evidence(data, mean, mask, torch.tensor(0.5, device=device), torch.tensor(0.25, device=device))
    assert all(torch.equal(x, y) for x, y in zip(numbers, tensors, strict=True))


def mixture(logits, components):
    return MixtureSameFamily(Categorical(logits=logits.movedim(1, -1)), components)


@pytest.mark.parametrize("variance", [0.3, 2.0])
def test_nll_is_that_of_a_mixture(variance, data, mean, mask):
    logits = 3 * mean.flip(0)
    nll, mask = ops.group_mixture_nll(data, mean, logits, variance)
    truth = mixture(logits.double(), Normal(mean.double().movedim(1, -1), variance**0.5)).log_prob(data.double())
    torch.testing.assert_close(nll, -truth.flatten(1).sum(1).float())
    torch.testing.assert_close(mask, logits.softmax(1))


def test_nll_is_that_of_a_binary_mixture(binary, mean):
    logits = 3 * mean.flip(0)
    nll, mask = ops.group_mixture_nll_bernoulli(binary, mean, logits)
    truth = mixture(logits.double(), Bernoulli(logits=mean.double().movedim(1, -1))).log_prob(binary.double())
    torch.testing.assert_close(nll, -truth.flatten(1).sum(1).float())
    torch.testing.assert_close(mask, logits.softmax(1))


@pytest.mark.parametrize("groups", [1, 2, 31, 32])
def test_masks_sum_to_one(groups, random, device):
    data, mean, logits = random(N, *D), random(N, groups, *D), 5 * random(N, groups, *D)
    masks = (ops.group_mixture_nll(data, mean, logits, 0.5)[1], ops.group_mixture_nll_bernoulli(data, mean, logits)[1])
    for mask in masks:
        torch.testing.assert_close(mask.sum(1), torch.ones(N, *D, device=device))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("pixels", [2**18, 2**18 + 4], ids=["lines", "no_lines"])
def test_results_larger_than_a_cache(pixels, dtype, backend, device):
    """The compiled CPU kernels write past the cache where every row consists of whole cache lines, else into it."""
    if backend != "native" or device.type != "cpu":
        pytest.skip("of the compiled CPU kernels")
    generator = torch.Generator().manual_seed(3)
    data, mean, logits = (torch.randn(2, *more, pixels, generator=generator) for more in ((), (8,), (8,)))
    leaves = [x.to(device, dtype) for x in (data, mean, logits.softmax(1))]
    function = partial(ops.group_features, variance=0.5, noise_variance=0.04)
    got = with_gradients(function, *leaves)
    with fastladder.use_backend("reference"):
        truth = with_gradients(function, *(x.double() for x in leaves))
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-5  # the precision of a number that is rounded to 8 bits
    for x, y in zip(got, truth, strict=True):
        assert (x - y).abs().max() <= tolerance * y.abs().max()
