"""Tagger's evidence terms and mixture likelihood, as in training: no gradient is computed for the data."""

from bench.operators import cases, measure
from tests.ops.contract import (
    group_evidence,
    group_evidence_bernoulli,
    group_mixture_nll,
    group_mixture_nll_bernoulli,
)

SHAPES = [(100, 4, 784), (16, 3, 96 * 96), (256, 4, 784), (64, 5, 96 * 96)]  # (N, K, D)
ROWS = [
    group_evidence(),
    group_evidence(features=True),
    group_evidence_bernoulli(),
    group_evidence_bernoulli(features=True),
    group_mixture_nll(),
    group_mixture_nll_bernoulli(),
]


@cases(ROWS, SHAPES)
def test_grouping(benchmark, report, backend, device, row, shape, direction):
    report(measure(benchmark, row, shape, direction, backend, device))
