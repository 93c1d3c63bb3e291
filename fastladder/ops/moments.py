"""Fused moments of nonlinearities under a Gaussian input, elementwise, and of a recurrent layer over sequences."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from fastladder import reference
from fastladder.backends import select_backend
from fastladder.ops import checks
from fastladder.ops.registration import empty_like_layout, fused, operator
from fastladder.ops.sequences import check_lengths, needs_backward, run_longest_first

FAMILY = "moments"
NONLINEARITIES = ("tanh", "sigmoid", "relu")


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


def moments_sequence(
    mean: Tensor,
    var: Tensor,
    hidden_mean: Tensor,
    hidden_var: Tensor,
    weight: Tensor,
    weight_of_var: Tensor,
    rate: Tensor,
    *,
    nonlinearity: str = "tanh",
    lengths: Tensor | Sequence[int] | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A recurrent layer with fast dropout over a whole sequence: every step takes the moments of a nonlinearity.

    The equation is that of :func:`fastladder.reference.moments_sequence`. The gradient of each weight is one product
    over all steps. Integers from the longest to the shortest make the fastest `lengths`, as samples need not be sorted.

    Args:
        mean: (T, N, C), of the input's projection.
        var: (T, N, C), of the input's projection.
        hidden_mean: (N, C), of the hidden units before the first step.
        hidden_var: (N, C), of the hidden units before the first step.
        weight: (C, C), which projects the mean: that of the layer, times the probability that a unit is kept.
        weight_of_var: (C, C), which projects variances: the square of the layer's weight, times that probability.
        rate: (C,), the probability that a hidden unit is dropped.
        nonlinearity: "tanh", "sigmoid" or "relu".
        lengths: (N,), how many steps each sample has, from 0 to T; missing means T for all.

    Returns:
        means and variances, (T, N, C) each, of the hidden units after each step, and zero after the length of a sample;
        and those after the last step of each sample, (N, C) each. All have the dtype of `mean`, or that of autocast.

    Raises:
        ValueError, TypeError: an argument has a wrong shape, dtype, device or option; the message names it.
    """
    mean, var, hidden_mean, hidden_var, weight, weight_of_var = checks.autocast(
        mean, var, hidden_mean, hidden_var, weight, weight_of_var
    )
    duration, batch, channels = _check_sequence(mean)
    checks.check_activation("var", var, mean.shape, mean, "mean")
    for name, moment in (("hidden_mean", hidden_mean), ("hidden_var", hidden_var)):
        checks.check_activation(name, moment, (batch, channels), mean, "mean")
    for name, matrix in (("weight", weight), ("weight_of_var", weight_of_var)):
        checks.check_activation(name, matrix, (channels, channels), mean, "mean")
    rate = checks.check_parameter("rate", rate, (channels,), mean, "mean")
    checks.check_option("nonlinearity", nonlinearity, NONLINEARITIES)
    longest_first = check_lengths(lengths, batch, duration)
    weights = weight, weight_of_var, rate
    backend = select_backend(FAMILY, mean.device, mean.dtype)
    if backend == "reference":
        return reference.moments_sequence(
            mean, var, hidden_mean, hidden_var, *weights, nonlinearity=nonlinearity, lengths=lengths
        )
    keeps = needs_backward(mean, var, hidden_mean, hidden_var, *weights)

    def run(lengths: Tensor | None, *tensors: Tensor) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = fused(backend).moments_sequence(*tensors, *weights, lengths, nonlinearity, keeps)
        return results[:4]

    results = run_longest_first(run, lengths, longest_first, mean, var, hidden_mean, hidden_var)
    means, variances, hidden_mean, hidden_var = results
    return means, variances, hidden_mean, hidden_var


def _check_sequence(mean: Any) -> tuple[int, int, int]:
    """Checks a mean (T, N, C), and returns T, N and C."""
    if isinstance(mean, Tensor) and mean.dim() != 3:
        raise ValueError(f"mean: got shape {tuple(mean.shape)}, needs (T, N, C)")
    checks.check_leader("mean", mean, parts=1)
    duration, batch, channels = mean.shape
    return duration, batch, channels


@operator(outputs=4, activations=6, keeps_layout=False, kept_outputs=1)
def _moments_sequence(
    mean: Tensor,
    var: Tensor,
    hidden_mean: Tensor,
    hidden_var: Tensor,
    weight: Tensor,
    weight_of_var: Tensor,
    rate: Tensor,
    lengths: Tensor | None,
    nonlinearity: str,
    keeps: bool,
) -> tuple[Tensor, ...]:
    duration, batch, channels = mean.shape
    shapes = [mean.shape] * 2 + [hidden_mean.shape] * 2 + [(duration if keeps else 0, batch, channels)] * 3
    return tuple(mean.new_empty(shape) for shape in shapes)
