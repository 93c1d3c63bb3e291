"""A dense LSTM over a whole sequence: the kernels of `lstm_gates` at every step, and torch's products between them."""

import torch
from torch import Tensor

from fastladder.kernels.lstm_gates import lstm_gates, lstm_gates_backward
from fastladder.kernels.sequences import samples_of_steps, states_before, weight_gradient
from fastladder.ops.registration import statistics_dtype


def lstm_sequence(
    projections: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight: Tensor,
    lengths: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    norm: str,
    eps: float,
    keeps: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Outputs (T, N, C), hidden and cell (N, C), and what a backward pass takes: cells and projections of all steps."""
    duration, batch, width = projections.shape
    outputs = projections.new_zeros(duration, batch, width // 4)
    cells = cell.new_zeros(duration, batch, width // 4)
    hidden_projections = projections.new_zeros(duration if keeps else 0, batch, width)
    of_step = {"layer": (2, batch, 1), "batch": (2, width)}
    sizes = (duration, *of_step[norm]) if norm != "none" else (0,)
    mean, rstd = (projections.new_zeros(sizes, dtype=statistics_dtype(projections)) for _ in range(2))
    hidden, cell = hidden.clone(), cell.clone()
    for step, count in enumerate(samples_of_steps(duration, batch, lengths)):
        both = [projections[step, :count], hidden[:count] @ weight.t()]
        new_hidden, new_cell, own_mean, own_rstd = lstm_gates(both, cell[:count], gain, bias, norm, eps)
        outputs[step, :count] = hidden[:count] = new_hidden
        cells[step, :count] = cell[:count] = new_cell
        if keeps:
            hidden_projections[step, :count] = both[1]
        if norm != "none":
            rows = count if norm == "layer" else width
            mean[step, :, :rows], rstd[step, :, :rows] = own_mean, own_rstd
    return outputs, hidden, cell, cells, hidden_projections, mean, rstd


def lstm_sequence_backward(
    grad_outputs: Tensor | None,
    grad_hidden: Tensor | None,
    grad_cell: Tensor | None,
    projections: Tensor,
    hidden: Tensor,
    cell: Tensor,
    weight: Tensor,
    lengths: Tensor | None,
    gain: Tensor | None,
    bias: Tensor | None,
    norm: str,
    eps: float,
    keeps: bool,
    outputs: Tensor,
    cells: Tensor,
    hidden_projections: Tensor,
    mean: Tensor,
    rstd: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of projections, hidden, cell, weight, lengths (which have none), gain and bias."""
    duration, batch, width = projections.shape
    grad_projections, grad_hidden_projections = torch.zeros_like(projections), torch.zeros_like(projections)
    grad_hidden = torch.zeros_like(hidden) if grad_hidden is None else grad_hidden.clone()
    grad_cell = torch.zeros_like(cell) if grad_cell is None else grad_cell.clone()
    of_parameters = projections.new_zeros(3, width, dtype=statistics_dtype(projections))  # gain (2), bias
    samples = samples_of_steps(duration, batch, lengths)
    for step in reversed(range(duration)):
        count = samples[step]
        before = (cell if step == 0 else cells[step - 1])[:count]
        if grad_outputs is not None:
            grad_hidden[:count] += grad_outputs[step, :count]
        rows = count if norm == "layer" else width
        own_mean, own_rstd = (mean, rstd) if norm == "none" else (mean[step, :, :rows], rstd[step, :, :rows])
        both = [projections[step, :count], hidden_projections[step, :count]]
        gradients, of_cell, of_gain, of_bias = lstm_gates_backward(
            grad_hidden[:count],
            grad_cell[:count],
            both,
            before,
            gain,
            bias,
            norm,
            eps,
            own_mean.contiguous(),
            own_rstd.contiguous(),
        )
        grad_projections[step, :count], grad_hidden_projections[step, :count] = gradients
        grad_cell[:count], grad_hidden[:count] = of_cell, gradients[1] @ weight
        if gain is not None:
            of_parameters[:2] += of_gain
        if bias is not None:
            of_parameters[2] += of_bias
    grad_weight = weight_gradient(grad_hidden_projections, states_before(hidden, outputs))
    missing = of_parameters.new_empty(0)
    return (
        grad_projections,
        grad_hidden,
        grad_cell,
        grad_weight,
        missing.clone(),
        missing.clone() if gain is None else of_parameters[:2].clone(),
        missing if bias is None else of_parameters[2].clone(),
    )
