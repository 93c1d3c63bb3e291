"""A recurrent layer with fast dropout over a whole sequence: the kernels of `moments` at every step, which also compute
the spread that torch's products between them take.
"""

import torch
from torch import Tensor

from fastladder.kernels.moments import RELU, SIGMOID, TANH, UNCHANGED, run_backward, run_forward
from fastladder.kernels.sequences import samples_of_steps, states_before, weight_gradient

FUNCTIONS = {"tanh": TANH, "sigmoid": SIGMOID, "relu": RELU}


def moments_sequence(
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
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Means and variances (T, N, C), those after the last steps (N, C), and what a backward pass takes, (T, N, C) each:
    mean and variance of the preactivation, and the spread of the hidden units before each step.
    """
    duration, batch, channels = mean.shape
    means, variances = (mean.new_zeros(mean.shape) for _ in range(2))
    places = duration if keeps else 0
    preactivation_mean, preactivation_var, spreads = (mean.new_zeros(places, batch, channels) for _ in range(3))
    rates = rate.expand(batch, channels).contiguous()
    last_mean, last_var, spread = (mean.new_empty(batch, channels) for _ in range(3))
    run_forward(UNCHANGED, hidden_mean.contiguous(), hidden_var.contiguous(), last_mean, last_var, rates, spread)
    for step, count in enumerate(samples_of_steps(duration, batch, lengths)):
        projected_mean = torch.addmm(mean[step, :count], last_mean[:count], weight.t())
        projected_var = torch.addmm(var[step, :count], spread[:count], weight_of_var.t())
        if keeps:
            preactivation_mean[step, :count], preactivation_var[step, :count] = projected_mean, projected_var
            spreads[step, :count] = spread[:count]
        outputs = means[step, :count], variances[step, :count]
        run_forward(FUNCTIONS[nonlinearity], projected_mean, projected_var, *outputs, rates, spread)
        last_mean[:count], last_var[:count] = outputs
    return means, variances, last_mean, last_var, preactivation_mean, preactivation_var, spreads


def moments_sequence_backward(
    grad_means: Tensor | None,
    grad_variances: Tensor | None,
    grad_hidden_mean: Tensor | None,
    grad_hidden_var: Tensor | None,
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
    means: Tensor,
    preactivation_mean: Tensor,
    preactivation_var: Tensor,
    spreads: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of all arguments up to lengths, which have none."""
    duration, batch, channels = mean.shape
    grad_mean, grad_var = (mean.new_zeros(mean.shape) for _ in range(2))
    # Of the hidden units after a step, but for what comes through their spread, which the kernels add.
    of_mean, of_var, of_spread = (mean.new_zeros(batch, channels) for _ in range(3))
    if grad_hidden_mean is not None:
        of_mean += grad_hidden_mean
    if grad_hidden_var is not None:
        of_var += grad_hidden_var
    rates = rate.expand(batch, channels).contiguous()
    of_rates = torch.zeros_like(rates)
    samples = samples_of_steps(duration, batch, lengths)
    for step in reversed(range(duration)):
        count = samples[step]
        if grad_means is not None:
            of_mean[:count] += grad_means[step, :count]
        if grad_variances is not None:
            of_var[:count] += grad_variances[step, :count]
        run_backward(
            FUNCTIONS[nonlinearity],
            of_mean,
            of_var,
            preactivation_mean[step, :count],
            preactivation_var[step, :count],
            grad_mean[step],
            grad_var[step],
            rates,
            means[step],
            of_spread,
            of_rates,
        )
        of_mean[:count], of_var[:count] = grad_mean[step, :count] @ weight, 0
        of_spread[:count] = grad_var[step, :count] @ weight_of_var
    initial_mean, initial_var = hidden_mean.contiguous(), hidden_var.contiguous()
    grad_initial_mean, grad_initial_var = torch.empty_like(initial_mean), torch.empty_like(initial_var)
    run_backward(
        UNCHANGED,
        of_mean,
        of_var,
        initial_mean,
        initial_var,
        grad_initial_mean,
        grad_initial_var,
        rates,
        initial_mean,
        of_spread,
        of_rates,
    )
    return (
        grad_mean,
        grad_var,
        grad_initial_mean,
        grad_initial_var,
        weight_gradient(grad_mean, states_before(hidden_mean, means)),
        weight_gradient(grad_var, spreads),
        of_rates.sum(0),
        rate.new_empty(0),
    )
