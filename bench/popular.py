"""The ConvLSTM as most people write it, which ours is measured against."""

import torch
from torch import Tensor, nn

from fastladder.nn import ConvLSTM, ConvLSTMCell

State = tuple[Tensor, Tensor]


class PopularConvLSTMCell(nn.Module):
    """A ConvLSTM cell with one convolution of input and hidden state side by side, gates in the order i, f, o, g.

    It is called like `fastladder.nn.ConvLSTMCell`.
    """

    def __init__(self, input_size: int, hidden_size: int, kernel_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.convolution = nn.Conv2d(
            input_size + hidden_size, 4 * hidden_size, kernel_size, padding=kernel_size // 2, bias=True
        )

    def copy_weights_to(self, ours: ConvLSTMCell) -> None:
        ours.load_joined_weights(self.convolution.weight, self.convolution.bias, gates="ifog")

    def forward(self, input: Tensor, state: State | None = None) -> State:
        if state is None:
            zeros = input.new_zeros(input.shape[0], self.hidden_size, *input.shape[2:])
            state = (zeros, zeros)
        hidden, cell = state
        gates = self.convolution(torch.cat([input, hidden], dim=1))
        i, f, o, g = torch.split(gates, self.hidden_size, dim=1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell


class PopularConvLSTM(nn.Module):
    """Layers of such cells, one after the other over all time steps; called like `fastladder.nn.ConvLSTM`."""

    def __init__(self, input_size: int, hidden_size: int, kernel_size: int, num_layers: int = 1) -> None:
        super().__init__()
        self.cells = nn.ModuleList(
            PopularConvLSTMCell(hidden_size if layer else input_size, hidden_size, kernel_size)
            for layer in range(num_layers)
        )

    def copy_weights_to(self, ours: ConvLSTM) -> None:
        for cell, own in zip(self.cells, ours.children(), strict=True):
            cell.copy_weights_to(own)

    def forward(self, input: Tensor) -> tuple[Tensor, State]:
        finals = []
        for cell in self.cells:
            state, outputs = None, []
            for frame in input.unbind(0):
                state = cell(frame, state)
                outputs.append(state[0])
            input = torch.stack(outputs)
            finals.append(state)
        hidden, cell_state = (torch.stack(parts) for parts in zip(*finals, strict=True))
        return input, (hidden, cell_state)
