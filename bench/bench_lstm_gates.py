"""lstm_gates with layer norm and three projections, as in the ConvLSTM rows of an RLadder."""

from bench.operators import SHAPES, cases, measure
from tests.ops.contract import lstm_gates


@cases([lstm_gates("layer", 3)], SHAPES)
def test_lstm_gates(benchmark, report, backend, device, row, shape, direction):
    report(measure(benchmark, row, shape, direction, backend, device))
