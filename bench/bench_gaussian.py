"""Gaussians of latent variables, and divergences of the latent sequences of a batch."""

from bench.operators import cases, measure
from tests.ops.contract import gaussian_kl, gaussian_merge, merge_sample_kl, wiener_kl

# (N, C): the largest layer of a ladder VAE, for one batch, for many samples, and for 5000 samples of 16 images.
LATENTS = [(256, 64), (4096, 64), (5000 * 16, 64)]

# (N, T, D): piano rolls of a few bars, long sequences of wide latents, and more than any cache holds.
SEQUENCES = [(32, 100, 10), (100, 200, 64), (100, 1000, 200)]


@cases([gaussian_merge(), gaussian_kl(), merge_sample_kl()], LATENTS)
def test_gaussian(benchmark, report, backend, device, row, shape, direction):
    report(measure(benchmark, row, shape, direction, backend, device))


@cases([wiener_kl()], SEQUENCES)
def test_wiener_kl(benchmark, report, backend, device, row, shape, direction):
    report(measure(benchmark, row, shape, direction, backend, device))
