"""One training step of an LSTM 88 -> 200, forward and backward, against torch.nn.LSTM and eager layer norm."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import fastladder
from bench.harness import Measurement, interleaved
from fastladder.nn import LSTM

FEATURES, HIDDEN = 88, 200
SIZES = [(20, 1), (100, 1), (1000, 1), (20, 32), (100, 32), (1000, 32), (20, 256), (100, 256)]  # T, N


class EagerLayerNormLSTM(nn.Module):
    """An LSTM with layer norm as a user writes it: the input is projected for all steps at once."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_projection = nn.Linear(input_size, 4 * hidden_size, bias=False)
        self.hidden_projection = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.input_norm, self.hidden_norm = nn.LayerNorm(4 * hidden_size), nn.LayerNorm(4 * hidden_size, bias=False)

    def forward(self, input):
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


@pytest.mark.parametrize(
    ("norm", "other"), [("none", nn.LSTM), ("layer", nn.LSTM), ("layer", EagerLayerNormLSTM)], ids=lambda x: str(x)
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("duration", "batch"), SIZES)
def test_lstm_training_step(benchmark, report, backend, device, duration, batch, dtype, norm, other):
    torch.manual_seed(0)
    ours, theirs = LSTM(FEATURES, HIDDEN, norm=norm).to(device), other(FEATURES, HIDDEN).to(device)
    x, target = (torch.randn(duration, batch, size, device=device) for size in (FEATURES, HIDDEN))

    def step(network):
        def run():
            network.zero_grad(set_to_none=True)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32), fastladder.use_backend(backend):
                output, _ = network(x)
            functional.mse_loss(output.float(), target).backward()

        return run

    times = interleaved(benchmark, {"eager": step(theirs), "ours": step(ours)}, device)
    name = f"LSTM, norm {norm}, against {'torch.nn.LSTM' if other is nn.LSTM else 'eager'}"
    shape, kind = f"{duration}x{batch}x{FEATURES}->{HIDDEN}", str(dtype).removeprefix("torch.")
    report(Measurement(name, shape, kind, "forward+backward", times["eager"], None, times["ours"]))
