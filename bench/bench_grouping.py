"""Tagger's evidence terms and mixture likelihood, as in a training: the data asks for no gradient."""

import pytest

from bench.operators import DIRECTIONS, measure, random_tensors

SHAPES = [(100, 4, 784), (16, 3, 96 * 96), (256, 4, 784), (64, 5, 96 * 96)]  # (N, K, D)
NOISE_VARIANCE, FLIP_PROBABILITY = 0.04, 0.2

directions = pytest.mark.parametrize("direction", DIRECTIONS)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def random_groups(seed, device, shape):
    """Data (N, D), two activations (N, K, D) and a variance."""
    batch, _, size = shape
    data, mean, logits, variance = random_tensors(seed, device, (batch, size), shape, shape, ())
    return data, mean, logits, variance.exp()


@directions
@shapes
@pytest.mark.parametrize("operator", ["group_evidence", "group_features"])
def test_evidence(benchmark, report, backend, device, operator, shape, direction):
    def make(seed):
        data, mean, logits, variance = random_groups(seed, device, shape)
        return [data, mean, logits.softmax(1), variance]

    def call(module):
        return lambda noisy, mean, mask, v: getattr(module, operator)(noisy, mean, mask, v, NOISE_VARIANCE)

    report(measure(benchmark, operator, call, make, shape, direction, backend, constants=1))


@directions
@shapes
@pytest.mark.parametrize("operator", ["group_evidence_bernoulli", "group_features_bernoulli"])
def test_binary_evidence(benchmark, report, backend, device, operator, shape, direction):
    def make(seed):
        data, mean, logits, _ = random_groups(seed, device, shape)
        return [(data > 0).float(), mean.sigmoid(), logits.softmax(1)]

    def call(module):
        return lambda noisy, probability, mask: getattr(module, operator)(noisy, probability, mask, FLIP_PROBABILITY)

    report(measure(benchmark, operator, call, make, shape, direction, backend, constants=1))


@directions
@shapes
def test_mixture(benchmark, report, backend, device, shape, direction):
    def make(seed):
        return list(random_groups(seed, device, shape))

    def call(module):
        return module.group_mixture_nll

    report(measure(benchmark, "group_mixture_nll", call, make, shape, direction, backend, constants=1))


@directions
@shapes
def test_binary_mixture(benchmark, report, backend, device, shape, direction):
    def make(seed):
        data, logits, mask_logits, _ = random_groups(seed, device, shape)
        return [(data > 0).float(), logits, mask_logits]

    def call(module):
        return module.group_mixture_nll_bernoulli

    report(measure(benchmark, "group_mixture_nll_bernoulli", call, make, shape, direction, backend, constants=1))
