"""lstm_gates with layer norm and three projections, as in the ConvLSTM rows of an RLadder."""

import pytest

from bench.operators import DIRECTIONS, SHAPES, measure, random_tensors


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_lstm_gates(benchmark, report, backend, device, shape, direction):
    batch, channels, *space = shape
    projection = (batch, 4 * channels, *space)

    def make(seed):
        return random_tensors(seed, device, *[projection] * 3, shape, (3, 4 * channels), (4 * channels,))

    def call(module):
        return lambda a, b, c, cell, gain, bias: module.lstm_gates([a, b, c], cell, gain=gain, bias=bias, norm="layer")

    report(measure(benchmark, "lstm_gates", call, make, shape, direction, backend))
