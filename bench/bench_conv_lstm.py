"""One training step of a ConvLSTM, forward and backward, against the popular implementation.

"eager" is our module on the reference backend. How the cost grows with batch and duration is measured without
torch.compile, which would take longer than all the rest.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.popular import PopularConvLSTM
from bench.training_steps import TrainingStep, Variant, cases, measure
from fastladder.nn import ConvLSTM


class Size(NamedTuple):
    duration: int
    batch: int
    channels: int  # of hidden and cell; the input has one
    side: int  # of the square frames
    layers: int
    kernel: int = 3

    def __str__(self) -> str:
        layers = "->".join(["1", *[str(self.channels)] * self.layers])
        return f"T{self.duration} N{self.batch} {layers} {self.side}x{self.side} k{self.kernel}"


FIRST = Size(duration=10, batch=4, channels=32, side=32, layers=2)
TYPICAL = [
    FIRST,
    Size(duration=10, batch=1, channels=64, side=64, layers=1),
    Size(duration=5, batch=16, channels=16, side=64, layers=2),
]
GROWTH = [
    *(FIRST._replace(batch=batch) for batch in (1, 16)),
    *(FIRST._replace(duration=duration) for duration in (5, 20)),
]
# The cost is about that of the first size, or below.
GRID = [
    FIRST._replace(layers=1),
    FIRST._replace(layers=3, duration=5),
    FIRST._replace(kernel=5, duration=5),
    Size(duration=5, batch=4, channels=16, side=64, layers=1, kernel=5),
    Size(duration=3, batch=1, channels=16, side=128, layers=1),
    Size(duration=3, batch=4, channels=16, side=128, layers=2),
]


def loss(network: nn.Module, frames: Tensor) -> Tensor:
    output, _ = network(frames)
    return output.square().mean()


def conv_lstm_step(size: Size, backend: str, device: torch.device) -> TrainingStep:
    torch.manual_seed(0)
    ours = ConvLSTM(1, size.channels, size.kernel, size.layers).to(device)
    popular = PopularConvLSTM(1, size.channels, size.kernel, size.layers).to(device)
    popular.copy_weights_to(ours)
    frames = torch.rand(size.duration, size.batch, 1, size.side, size.side, device=device)
    torch._dynamo.reset()
    variants = {
        "popular": Variant(popular, loss),
        **({"popular compiled": Variant(torch.compile(popular), loss)} if size not in GROWTH else {}),
        "eager": Variant(ours, loss),
        "ours": Variant(ours, loss, backend),
        "popular bfloat16": Variant(popular, loss, bfloat16=True),
        "ours bfloat16": Variant(ours, loss, backend, bfloat16=True),
    }
    return TrainingStep("ConvLSTM", str(size), [frames], variants)


@cases(TYPICAL, GROWTH + GRID)
def test_conv_lstm(benchmark, report, backend, device, memory, size):
    report(measure(benchmark, conv_lstm_step(size, backend, device), memory, device))
