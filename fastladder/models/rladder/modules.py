"""Modules that only an RLadder needs: rows of its encoder that are not recurrent, and cells that flatten maps.

All rows that are not recurrent, pools and dense rows too, end in batch normalisation (appendix A.4).
"""

from typing import Any

from torch import Tensor, nn

from fastladder.nn import G1, LSTMCell, StepBatchNorm
from fastladder.nn.convolution import convolution
from fastladder.nn.layout import like_layout
from fastladder.nn.lstm_cell import State
from fastladder.nn.reset import reset_children


class NormalizedConv(nn.Module):
    """A convolutional row of the encoder, with batch normalisation and ReLU."""

    def __init__(
        self, input_size: int, output_size: int, kernel_size: int, *, stride: int, dims: int, steps: int, **factory: Any
    ) -> None:
        super().__init__()
        self.convolution = convolution(input_size, output_size, kernel_size, stride=stride, dims=dims, **factory)
        self.norm = StepBatchNorm(output_size, steps=steps, **factory)

    def reset_parameters(self) -> None:
        reset_children(self)

    def forward(self, input: Tensor, step: int = 0) -> Tensor:
        return self.norm(self.convolution(input), step).relu()


class NormalizedPool(nn.Module):
    """A pooling row of the encoder, with batch normalisation."""

    def __init__(self, pool: nn.Module, channels: int, *, steps: int, **factory: Any) -> None:
        super().__init__()
        self.pool = pool
        self.norm = StepBatchNorm(channels, steps=steps, **factory)

    def reset_parameters(self) -> None:
        reset_children(self)

    def forward(self, input: Tensor, step: int = 0) -> Tensor:
        return self.norm(like_layout(self.pool(input), input), step)


class NormalizedLinear(nn.Module):
    """A dense row of the encoder, over all channels and positions of its input, with batch normalisation."""

    def __init__(self, input_size: int, output_size: int, *, steps: int, **factory: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, output_size, bias=False, **factory)
        self.norm = StepBatchNorm(output_size, steps=steps, **factory)

    def reset_parameters(self) -> None:
        reset_children(self)

    def forward(self, input: Tensor, step: int = 0) -> Tensor:
        return self.norm(self.linear(input.flatten(1)), step)


class FlatLSTMCell(LSTMCell):
    """A dense LSTM over all channels and positions of its input."""

    def forward(self, input: Tensor, *rest: Any, **options: Any) -> State:
        return super().forward(input.flatten(1), *rest, **options)


class FlatG1(G1):
    """The dense decoder cell G1 over all channels and positions of top and lateral."""

    def forward(self, top: Tensor, lateral: Tensor, step: int = 0) -> Tensor:
        output = super().forward(top.flatten(1), lateral.flatten(1), step=step)
        return like_layout(output.view(lateral.shape), lateral)


class Broadcast(nn.Module):
    """The inverse of an average pool over all positions: each position gets the top."""

    def forward(self, top: Tensor, lateral: Tensor, step: int = 0) -> Tensor:
        return like_layout(top.expand_as(lateral), lateral)
