"""The decoder cells with the norms that the RLadder has, and the Ladder network's combinator without one."""

from bench.operators import SHAPES, cases, measure
from tests.ops.contract import combine_g1, combine_g2, combine_g3, combine_g3_hidden, ladder_combine

# (N * K, D), a row for every sample and group of Tagger: binary and textured digits, and both with more samples.
DENSE_SHAPES = [(400, 784), (48, 9216), (1024, 784), (320, 9216)]


@cases([combine_g1("batch"), combine_g2("layer"), combine_g3_hidden("layer"), combine_g3()], SHAPES)
def test_decoder_cell(benchmark, report, backend, device, row, shape, direction):
    report(measure(benchmark, row, shape, direction, backend, device))


@cases([ladder_combine()], DENSE_SHAPES)
def test_ladder_combine(benchmark, report, backend, device, row, shape, direction):
    report(measure(benchmark, row, shape, direction, backend, device))
