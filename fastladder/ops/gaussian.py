"""Fused divergences between Gaussians."""

from torch import Tensor

from fastladder import reference
from fastladder.backends import select_backend
from fastladder.ops import checks
from fastladder.ops.registration import fused, operator, statistics_dtype

FAMILY = "gaussian"


def wiener_kl(mean: Tensor, var: Tensor, *, exact: bool = True) -> Tensor:
    """What every step adds to the divergence of a diagonal Gaussian over sequences from a Wiener process.

    The equation, with its source, is that of :func:`fastladder.reference.wiener_kl`. By the chain rule the sum over T
    is the whole Kullback-Leibler divergence, and the sum over the first L steps is that of a sequence of length L: in a
    padded batch, a mask leaves out the terms beyond the end of each sequence. Values are not checked: a variance of 0
    makes the term of its step infinite, one below 0 makes it NaN.

    Args:
        mean: (T, N, D), of T time steps, N samples and D latent dimensions.
        var: (T, N, D), above 0.
        exact: False takes the shortcut of Bayer and Osendorfer (2014), which is smaller than the divergence. What is
            computed with it is NOT a bound on the likelihood; it is there to reproduce their paper.

    Returns:
        kl, (T, N), in nats, summed over D; float32 (float64 for float64).

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device or option; the message names it.
    """
    mean, var = checks.autocast(mean, var)
    if isinstance(mean, Tensor) and mean.dim() != 3:
        raise ValueError(f"mean: got shape {tuple(mean.shape)}, needs (T, N, D)")
    checks.check_leader("mean", mean, parts=1)
    checks.check_activation("var", var, mean.shape, mean, "mean")
    checks.check_flag("exact", exact)
    backend = select_backend(FAMILY, mean.device, mean.dtype)
    if backend == "reference":
        return reference.wiener_kl(mean, var, exact=exact)
    kl: Tensor = fused(backend).wiener_kl(mean, var, exact)
    return kl


@operator(outputs=1, activations=2, keeps_layout=False)
def _wiener_kl(mean: Tensor, var: Tensor, exact: bool) -> Tensor:
    return mean.new_empty(mean.shape[:2], dtype=statistics_dtype(mean))
