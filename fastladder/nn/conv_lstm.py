"""Convolutional LSTM over sequences."""

from typing import Any

import torch
from torch import Tensor

from fastladder.nn.checks import check_sizes
from fastladder.nn.conv_lstm_cell import ConvLSTMCell
from fastladder.nn.convolution import Sizes, odd_kernel_size
from fastladder.nn.layout import channels_last, gains_from_channels_last
from fastladder.nn.lstm_cell import State
from fastladder.nn.recurrent_layers import RecurrentLayers, run_steps
from fastladder.nn.untouched import is_untouched


class ConvLSTM(RecurrentLayers):
    r"""A stack of convolutional LSTM layers over a sequence, like `torch.nn.LSTM` with spatial dimensions.

    Each layer calls its :class:`ConvLSTMCell` at every time step, with that step's input and state. Inside it works in
    the memory layout in which convolutions are fastest. The submodules of the cells have the endings of
    `torch.nn.LSTM`'s parameters as names: l0, l0_reverse, l1. Their method `load_joined_weights` takes over the weights
    of a cell with one convolution of input and hidden state.

    Args:
        input_size: channels of the input.
        hidden_size: channels of hidden and cell.
        kernel_size: of the first layer's input; one integer or one for each dimension. All other convolutions keep the
            size, and have the same kernel where it is odd, and 3, 3 and 5 for 4, 6 and 8.
        num_layers: the number of layers.
        stride: of the first layer's input convolution. A size n becomes ceil(n / stride).
        bias: whether there are biases.
        batch_first: whether input and output are (N, T, C, *S) rather than (T, N, C, *S).
        dropout: the probability with which outputs are dropped between layers.
        bidirectional: whether there is a second direction, from the last time step to the first.
        norm: "none", "layer" (per sample over all gates and positions) or "batch" (per channel over batch and
            positions).
        forget_bias: the initial bias of the forget gates.
        hidden_gain: with a norm, the initial gain of the hidden states' projections.
        dims: the number of spatial dimensions, 1, 2 or 3.
        steps: with norm "batch", the number of time steps with running statistics of their own.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        kernel_size: Sizes,
        num_layers: int = 1,
        *,
        stride: Sizes = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        norm: str = "none",
        forget_bias: float = 1.0,
        hidden_gain: float = 1.0,
        dims: int = 2,
        steps: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            dims=dims,
        )
        kernel_size = check_sizes("kernel_size", kernel_size, dims)
        options: dict[str, Any] = dict(
            bias=bias,
            norm=norm,
            forget_bias=forget_bias,
            hidden_gain=hidden_gain,
            dims=dims,
            steps=steps,
            device=device,
            dtype=dtype,
        )

        def make_cell(layer: int, input_size: int) -> ConvLSTMCell:
            kernel, by = (kernel_size, stride) if layer == 0 else (odd_kernel_size(kernel_size), 1)
            return ConvLSTMCell(input_size, hidden_size, kernel, stride=by, **options)

        self.add_cells(make_cell)

    def run_cell(
        self, cell: Any, data: Tensor, batch_sizes: list[int], state: State | None, *, reverse: bool
    ) -> tuple[Tensor, State]:
        # A wrapper of the cell, such as sharding, may provide the weights only while the cell is called.
        joined = cell.join_weights(data) if is_untouched(cell, ConvLSTMCell) else None
        options = {} if joined is None else {"joined_weight": joined}
        return run_steps(cell, data, batch_sizes, state, reverse=reverse, **options)

    def _run(self, data: Tensor, batch_sizes: list[int], state: State | None) -> tuple[Tensor, State]:
        if not gains_from_channels_last(data):
            return super()._run(data, batch_sizes, state)
        output, (hidden, cell) = super()._run(channels_last(data), batch_sizes, state)
        return output.contiguous(), (hidden.contiguous(), cell.contiguous())
