"""Divergences between Gaussians, of the latent sequences of a batch."""

from bench.operators import cases, measure
from tests.ops.contract import wiener_kl

# (N, T, D): piano rolls of a few bars, long sequences of wide latents, and more than any cache holds.
SHAPES = [(32, 100, 10), (100, 200, 64), (100, 1000, 200)]


@cases([wiener_kl()], SHAPES)
def test_gaussian(benchmark, report, backend, device, row, shape, direction):
    report(measure(benchmark, row, shape, direction, backend, device))
