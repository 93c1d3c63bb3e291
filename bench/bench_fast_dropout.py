"""One training step of an FD-RNN, forward and backward, against eager PyTorch and torch.compile of its time step.

Eager is an FD-RNN as a user writes it, with the projections of the input for all time steps at once. torch.compile of
the whole loop would take minutes.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.training_steps import TrainingStep, Variant, cases, measure
from fastladder.nn import FastDropoutRNN

FEATURES, HIDDEN, KEPT = 88, 300, 0.9
TANH = ((0.20753, 1.32564), (0.20625, 0.53658), (0.58622, 0.85322))  # weights and scales of the sum of erf


class Size(NamedTuple):
    duration: int
    batch: int

    def __str__(self) -> str:
        return f"T{self.duration} N{self.batch} {FEATURES}->{HIDDEN}"


# First the typical size, then how cost grows with duration and batch.
SIZES = [Size(100, 10), Size(20, 10), Size(100, 1), Size(100, 64)]


def fast_dropout(mean: Tensor, var: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the products of a weight and units that are kept with the probability `KEPT`."""
    spread = KEPT * (1 - KEPT) * mean.square() + KEPT * var
    return functional.linear(KEPT * mean, weight), functional.linear(spread, weight.square())


def time_step(
    mean: Tensor, var: Tensor, input_mean: Tensor, input_var: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and variance of the hidden units after one more time step."""
    hidden_mean, hidden_var = fast_dropout(mean, var, weight)
    m, v = input_mean + hidden_mean, input_var + hidden_var
    expected, slope = torch.zeros_like(m), torch.zeros_like(m)
    for factor, scale in TANH:
        inverse = (1 + 2 * scale**2 * v).rsqrt()
        u = scale * m * inverse
        expected = expected + factor * u.erf()
        slope = slope + factor * scale * 2 / math.sqrt(math.pi) * inverse * (-u * u).exp()
    return expected, (1 - slope - expected * expected).clamp(min=0)


class EagerFastDropoutRNN(nn.Module):
    """An FD-RNN as a user writes it, with the weights of ours."""

    def __init__(self, ours: FastDropoutRNN, step: Callable[..., tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.input_weight, self.hidden_weight = ours.l0.input_projection.weight, ours.l0.hidden_projection.weight
        self.bias = ours.l0.input_projection.bias
        self.step = step

    def forward(self, input: Tensor) -> tuple[tuple[Tensor, Tensor], None]:
        means, variances = fast_dropout(input, torch.zeros_like(input), self.input_weight)
        mean = var = input.new_zeros(input.shape[1], HIDDEN)
        outputs = []
        for input_mean, input_var in zip(means + self.bias, variances, strict=True):
            mean, var = self.step(mean, var, input_mean, input_var, self.hidden_weight)
            outputs.append((mean, var))
        return (torch.stack([mean for mean, _ in outputs]), torch.stack([var for _, var in outputs])), None


def loss(network: nn.Module, input: Tensor, target: Tensor) -> Tensor:
    (mean, var), _ = network(input)
    return functional.mse_loss(mean.float(), target) + var.float().mean()


def fast_dropout_step(size: Size, backend: str, device: torch.device) -> TrainingStep:
    torch.manual_seed(0)
    ours = FastDropoutRNN(FEATURES, HIDDEN, rate=1 - KEPT).to(device)
    data = [torch.rand(size.duration, size.batch, features, device=device) for features in (FEATURES, HIDDEN)]
    eager, compiled = (EagerFastDropoutRNN(ours, step) for step in (time_step, torch.compile(time_step)))
    variants = {
        "eager": Variant(eager, loss),
        "torch.compile": Variant(compiled, loss),
        "ours": Variant(ours, loss, backend),
        "eager bfloat16": Variant(eager, loss, bfloat16=True),
        "ours bfloat16": Variant(ours, loss, backend, bfloat16=True),
    }
    return TrainingStep("FD-RNN", str(size), data, variants)


@cases(SIZES[:1], SIZES[1:])
def test_fast_dropout(benchmark, report, backend, device, memory, size):
    report(measure(benchmark, fast_dropout_step(size, backend, device), memory, device))
