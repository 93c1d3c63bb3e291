"""Moments under a Gaussian input, of the layers of a network with fast dropout."""

from bench.operators import cases, measure
from tests.ops.contract import MOMENTS

# (N, D): a layer at one time step, and over all steps of a batch; and one that no cache holds.
SHAPES = [(32, 300), (3200, 300), (20000, 600)]


@cases(MOMENTS, SHAPES)
def test_moments(benchmark, report, backend, device, row, shape, direction):
    report(measure(benchmark, row, shape, direction, backend, device))
