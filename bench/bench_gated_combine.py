"""The decoder cells with the norms that the RLadder has, and the Ladder network's combinator without one."""

import pytest

from bench.operators import DIRECTIONS, SHAPES, measure, random_tensors

# (N * K, D), a row for every sample and group of Tagger: binary and textured digits, and both with more samples.
DENSE_SHAPES = [(400, 784), (48, 9216), (1024, 784), (320, 9216)]

directions = pytest.mark.parametrize("direction", DIRECTIONS)
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


@directions
@shapes
def test_combine_g1(benchmark, report, backend, device, shape, direction):
    channels = shape[1]

    def make(seed):
        return random_tensors(seed, device, shape, shape, (5, channels), (5, channels), (channels,), (channels,))

    def call(module):
        return lambda p, h, gate, content, gain, bias: module.combine_g1(p, h, gate, content, gain=gain, bias=bias)

    report(measure(benchmark, "combine_g1", call, make, shape, direction, backend))


@directions
@shapes
def test_combine_g2(benchmark, report, backend, device, shape, direction):
    batch, channels, *space = shape
    thirds = (batch, 3 * channels, *space)

    def make(seed):
        return random_tensors(seed, device, thirds, thirds, (3, 5, channels), (2, 3 * channels), (3 * channels,))

    def call(module):
        return lambda v, h, weights, gain, bias: module.combine_g2(v, h, weights, gain=gain, bias=bias)

    report(measure(benchmark, "combine_g2", call, make, shape, direction, backend))


@directions
@shapes
def test_combine_g3_hidden(benchmark, report, backend, device, shape, direction):
    channels = shape[1]

    def make(seed):
        return random_tensors(seed, device, shape, shape, (2, channels), (channels,))

    def call(module):
        return lambda v, h, gain, bias: module.combine_g3_hidden(v, h, gain=gain, bias=bias)

    report(measure(benchmark, "combine_g3_hidden", call, make, shape, direction, backend))


@directions
@shapes
def test_combine_g3(benchmark, report, backend, device, shape, direction):
    batch, channels, *space = shape

    def make(seed):
        return random_tensors(seed, device, (batch, 3 * channels, *space))

    report(measure(benchmark, "combine_g3", lambda module: module.combine_g3, make, shape, direction, backend))


@directions
@pytest.mark.parametrize("shape", DENSE_SHAPES, ids=str)
def test_ladder_combine(benchmark, report, backend, device, shape, direction):
    def make(seed):
        return random_tensors(seed, device, shape, shape, (10, shape[1]))

    report(measure(benchmark, "ladder_combine", lambda module: module.ladder_combine, make, shape, direction, backend))
