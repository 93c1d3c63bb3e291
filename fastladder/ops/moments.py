"""Fused moments of nonlinearities under a Gaussian input, elementwise."""

from torch import Tensor

from fastladder import reference
from fastladder.backends import select_backend
from fastladder.ops import checks
from fastladder.ops.registration import empty_like_layout, fused, operator

FAMILY = "moments"


def tanh_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of tanh(x) for x from N(mean, var), elementwise, within 2e-4 and 4e-4.

    The equation, with its sources, is that of :func:`fastladder.reference.tanh_moments`.

    Args:
        mean: (N, C, *S).
        var: (N, C, *S); a number below 0 counts as 0.

    Returns:
        mean and variance, each (N, C, *S), in the dtype and memory layout of `mean`.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype or device; the message names it.
    """
    return _run("tanh_moments", mean, var)


@operator(outputs=2, activations=2)
def _tanh_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    return empty_like_layout(mean, mean.shape[1]), empty_like_layout(mean, mean.shape[1])


def sigmoid_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the logistic sigmoid of x for x from N(mean, var), elementwise, within 1e-4.

    The equation is that of :func:`fastladder.reference.sigmoid_moments`; arguments, results and errors are those of
    :func:`tanh_moments`.
    """
    return _run("sigmoid_moments", mean, var)


@operator(outputs=2, activations=2)
def _sigmoid_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    return _tanh_moments(mean, var)


def relu_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of max(x, 0) for x from N(mean, var), elementwise.

    The equation is that of :func:`fastladder.reference.relu_moments`; arguments, results and errors are those of
    :func:`tanh_moments`.
    """
    return _run("relu_moments", mean, var)


@operator(outputs=2, activations=2)
def _relu_moments(mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    return _tanh_moments(mean, var)


def _run(name: str, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor]:
    mean, var = checks.autocast(mean, var)
    checks.check_leader("mean", mean, parts=1)
    checks.check_activation("var", var, mean.shape, mean, "mean")
    backend = select_backend(FAMILY, mean.device, mean.dtype)
    where = reference if backend == "reference" else fused(backend)
    results: tuple[Tensor, Tensor] = getattr(where, name)(mean, var)
    return results
