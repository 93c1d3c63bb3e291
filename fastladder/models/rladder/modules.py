"""Modules that only an RLadder needs: non-recurrent rows of its encoder, and dense rows and cells that flatten maps."""

from typing import Any

from torch import Tensor, nn

from fastladder.nn import G1, LSTMCell, StepBatchNorm
from fastladder.nn.convolution import convolution
from fastladder.nn.layout import like_layout
from fastladder.nn.lstm_cell import State
from fastladder.nn.reset import reset_children


class NormalizedConv(nn.Module):
    """Convolution, batch normalisation and ReLU: a convolutional row of the encoder (appendix A.4)."""

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


class Pool(nn.Module):
    """A pooling row of the encoder."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, input: Tensor, step: int = 0) -> Tensor:
        return like_layout(self.pool(input), input)


class FlatLinear(nn.Linear):
    """A dense row of the encoder, over all channels and positions of its input."""

    def forward(self, input: Tensor, step: int = 0) -> Tensor:
        return super().forward(input.flatten(1))


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
