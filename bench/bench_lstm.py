"""One training step of an LSTM, forward and backward, against torch.nn.LSTM and eager layer norm.

"eager" is our module on the reference backend, which calls its cell at every time step.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.training_steps import TrainingStep, Variant, cases, measure
from fastladder.nn import LSTM

FEATURES, HIDDEN = 88, 200


class Size(NamedTuple):
    duration: int
    batch: int

    def __str__(self) -> str:
        return f"T{self.duration} N{self.batch} {FEATURES}->{HIDDEN}"


# First the typical size, then how cost grows with duration and batch.
SIZES = [Size(100, 32), Size(20, 32), Size(1000, 32), Size(20, 1), Size(100, 1), Size(1000, 1), Size(100, 256)]


class EagerLayerNormLSTM(nn.Module):
    """An LSTM with layer norm as a user writes it: the input is projected for all time steps at once."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_projection = nn.Linear(input_size, 4 * hidden_size, bias=False)
        self.hidden_projection = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.input_norm, self.hidden_norm = nn.LayerNorm(4 * hidden_size), nn.LayerNorm(4 * hidden_size, bias=False)

    def load_weights(self, ours: LSTM) -> None:
        """Takes over those of an LSTM of one layer with norm "layer"."""
        cell = ours.l0
        self.input_projection.load_state_dict(cell.input_projection.state_dict())
        self.hidden_projection.load_state_dict(cell.hidden_projection.state_dict())
        self.input_norm.load_state_dict({"weight": cell.preactivation.gain[0], "bias": cell.preactivation.bias})
        self.hidden_norm.load_state_dict({"weight": cell.preactivation.gain[1]})

    def forward(self, input: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        projections = self.input_norm(self.input_projection(input))
        hidden = cell = projections.new_zeros(input.shape[1], self.hidden_projection.in_features)
        outputs = []
        for projection in projections:
            a = projection + self.hidden_norm(self.hidden_projection(hidden))
            i, f, g, o = a.chunk(4, dim=1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            outputs.append(hidden)
        return torch.stack(outputs), (hidden, cell)


def loss(network: nn.Module, input: Tensor, target: Tensor) -> Tensor:
    output, _ = network(input)
    return functional.mse_loss(output.float(), target)


def lstm_step(size: Size, norm: str, backend: str, device: torch.device) -> TrainingStep:
    torch.manual_seed(0)
    ours, theirs = LSTM(FEATURES, HIDDEN, norm=norm).to(device), nn.LSTM(FEATURES, HIDDEN).to(device)
    if norm == "layer":
        eager: nn.Module = EagerLayerNormLSTM(FEATURES, HIDDEN).to(device)
        eager.load_weights(ours)
    else:
        ours.load_state_dict(theirs.state_dict())
        eager = ours
    data = [torch.randn(size.duration, size.batch, features, device=device) for features in (FEATURES, HIDDEN)]
    variants = {
        "torch.nn.LSTM": Variant(theirs, loss),
        "eager": Variant(eager, loss),
        "ours": Variant(ours, loss, backend),
        "torch.nn.LSTM bfloat16": Variant(theirs, loss, bfloat16=True),
        "ours bfloat16": Variant(ours, loss, backend, bfloat16=True),
    }
    return TrainingStep("LSTM" if norm == "none" else "LSTM with layer norm", str(size), data, variants)


@cases(SIZES[:1], SIZES[1:])
def test_lstm(benchmark, report, backend, device, memory, size):
    report(measure(benchmark, lstm_step(size, "none", backend, device), memory, device))


@cases(SIZES[:1], SIZES[1:])
def test_lstm_with_layer_norm(benchmark, report, backend, device, memory, size):
    report(measure(benchmark, lstm_step(size, "layer", backend, device), memory, device))
