"""Fused operators on Gaussians: merged, drawn from and compared; and bounds on likelihoods."""

from typing import Any

from torch import Tensor

from fastladder import reference
from fastladder.backends import select_backend
from fastladder.ops import checks
from fastladder.ops.registration import empty_like_layout, fused, operator, statistics_dtype

FAMILY = "gaussian"


def gaussian_merge(mean_a: Tensor, var_a: Tensor, mean_b: Tensor, var_b: Tensor) -> tuple[Tensor, Tensor]:
    """Merges two Gaussians into the one that the product of their densities is, but for its scale; elementwise.

    The equation, with its source, is that of :func:`fastladder.reference.gaussian_merge`: precisions add up, and the
    mean is weighted by them. In float32 it is right down to variances of 1e-30. Values are not checked: variances that
    are all 0 make NaN.

    Args:
        mean_a, mean_b: (N, C, *S).
        var_a, var_b: (N, C, *S), above 0.

    Returns:
        mean and var, each (N, C, *S), in the dtype and memory layout of `mean_a`.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
    """
    tensors = _activations(mean_a=mean_a, var_a=var_a, mean_b=mean_b, var_b=var_b)
    merged: tuple[Tensor, Tensor] = _run("gaussian_merge", tensors)
    return merged


@operator(outputs=2, activations=4)
def _gaussian_merge(mean_a: Tensor, var_a: Tensor, mean_b: Tensor, var_b: Tensor) -> tuple[Tensor, Tensor]:
    return empty_like_layout(mean_a, mean_a.shape[1]), empty_like_layout(mean_a, mean_a.shape[1])


def gaussian_kl(mean_q: Tensor, var_q: Tensor, mean_p: Tensor, var_p: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of diagonal Gaussians q from p, of every sample.

    The equation is that of :func:`fastladder.reference.gaussian_kl`. Values are not checked: where `var_q` is 0, the
    divergence is infinite; where `var_p` is 0, or one of the two is below 0, it is NaN.

    Args:
        mean_q, mean_p: (N, C, *S).
        var_q, var_p: (N, C, *S), above 0.

    Returns:
        kl, (N,), in nats, summed over C and S; float32 (float64 for float64).

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
    """
    kl: Tensor = _run("gaussian_kl", _activations(mean_q=mean_q, var_q=var_q, mean_p=mean_p, var_p=var_p))
    return kl


@operator(outputs=1, activations=4)
def _gaussian_kl(mean_q: Tensor, var_q: Tensor, mean_p: Tensor, var_p: Tensor) -> Tensor:
    return mean_q.new_empty(mean_q.shape[:1], dtype=statistics_dtype(mean_q))


def merge_sample_kl(
    mean_d: Tensor, var_d: Tensor, mean_t: Tensor, var_t: Tensor, mean_p: Tensor, var_p: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a layer of a ladder VAE does on the way down, in one pass: merges, draws a sample, and says what it costs.

    The equation, with its source, is that of :func:`fastladder.reference.merge_sample_kl`: :func:`gaussian_merge` of d
    and t, a sample of what results, and its :func:`gaussian_kl` from p. All three are differentiable by all arguments.
    The divergence of single units is `gaussian_kl` of tensors (N * C, 1), made from mean and var.

    Args:
        mean_d, var_d: (N, C, *S), from the data; variances are above 0.
        mean_t, var_t: (N, C, *S), from the layer above.
        mean_p, var_p: (N, C, *S), the prior of this layer.
        noise: (N, C, *S), of a standard normal distribution.

    Returns:
        z, mean and var, each (N, C, *S), in the dtype and memory layout of `mean_d`: a sample of the approximate
        posterior, and its mean and variance; kl, (N,), its divergence from the prior in nats, summed over C and S, in
        float32 (float64 for float64).

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
    """
    tensors = _activations(
        mean_d=mean_d, var_d=var_d, mean_t=mean_t, var_t=var_t, mean_p=mean_p, var_p=var_p, noise=noise
    )
    results: tuple[Tensor, Tensor, Tensor, Tensor] = _run("merge_sample_kl", tensors)
    return results


@operator(outputs=4, activations=7)
def _merge_sample_kl(
    mean_d: Tensor, var_d: Tensor, mean_t: Tensor, var_t: Tensor, mean_p: Tensor, var_p: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    kl = mean_d.new_empty(mean_d.shape[:1], dtype=statistics_dtype(mean_d))
    return empty_like_layout(mean_d, mean_d.shape[1]), *_gaussian_merge(mean_d, var_d, mean_t, var_t), kl


def _activations(**named: Tensor) -> list[Tensor]:
    """Arguments that are all (N, C, *S), checked, and in the dtype of autocast."""
    names, tensors = list(named), checks.autocast(*named.values())
    checks.check_leader(names[0], tensors[0], parts=1)
    for name, tensor in zip(names[1:], tensors[1:], strict=True):
        checks.check_activation(name, tensor, tensors[0].shape, tensors[0], names[0])
    return tensors


def _run(name: str, tensors: list[Tensor]) -> Any:
    backend = select_backend(FAMILY, tensors[0].device, tensors[0].dtype)
    return getattr(reference if backend == "reference" else fused(backend), name)(*tensors)


def importance_bound(log_weights: Tensor, dim: int = 0) -> Tensor:
    """The bound on a log-likelihood by K weighted samples: the logarithm of their mean weight.

    The equation, with its source, is that of :func:`fastladder.reference.importance_bound`, which runs on every
    backend: there is one number a sample, where a network has computed thousands for it. Autocast leaves log weights as
    they are, since they are sums.

    Args:
        log_weights: any shape with at least one dimension, in nats. Where it is -inf, a sample has no weight; where all
            are, so is the bound.
        dim: along which the K samples lie.

    Returns:
        bound, in nats, without that dimension; float32 (float64 for float64).

    Raises:
        ValueError, TypeError: there is no sample or no such dimension, or an argument has a wrong type; the message
            names it.
    """
    checks.check_tensor("log_weights", log_weights)
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise TypeError(f"dim: got {type(dim).__name__}, needs an int")
    dims = log_weights.dim()
    if not -dims <= dim < dims:
        raise ValueError(f"dim: got {dim}, needs a dimension of log_weights, which has {dims}")
    if log_weights.shape[dim] == 0:
        shape = tuple(log_weights.shape)
        raise ValueError(f"log_weights: got shape {shape}, needs at least one sample along dimension {dim}")
    return reference.importance_bound(log_weights, dim)


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
