"""The combinator of the Ladder network on dense activations, as Tagger has them: a row for every sample and group."""

import pytest

from bench.operators import DIRECTIONS, measure, random_tensors

# (N * K, D): binary and textured digits, and both with more samples.
SHAPES = [(400, 784), (48, 9216), (1024, 784), (320, 9216)]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_ladder_combine(benchmark, report, backend, device, shape, direction):
    def make(seed):
        return random_tensors(seed, device, shape, shape, (10, shape[1]))

    report(measure(benchmark, "ladder_combine", lambda module: module.ladder_combine, make, shape, direction, backend))
