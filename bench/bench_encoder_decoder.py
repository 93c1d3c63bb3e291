"""One training step of an encoder-decoder that a user writes around ConvLSTM cells: forward, backward and Adam.

The loop over time is the user's own. The popular cell is in it, or ours in its place.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.popular import PopularConvLSTMCell
from bench.training_steps import TrainingStep, Variant, cases, measure
from fastladder.nn import ConvLSTMCell


class Size(NamedTuple):
    batch: int = 2
    observed: int = 6
    predicted: int = 4
    channels: int = 16
    side: int = 32

    def __str__(self) -> str:
        return f"T{self.observed}+{self.predicted} N{self.batch} {self.channels} channels {self.side}x{self.side}"


class EncoderDecoder(nn.Module):
    """Two cells read frames, and two write what follows.

    Args:
        make_cell: is called with the channels of a cell's input, those of its state, and the kernel size.
        channels: of all states.
    """

    def __init__(self, make_cell: Callable[[int, int, int], nn.Module], channels: int) -> None:
        super().__init__()
        self.encoder1 = make_cell(1, channels, 3)
        self.encoder2 = make_cell(channels, channels, 3)
        self.decoder1 = make_cell(channels, channels, 3)
        self.decoder2 = make_cell(channels, channels, 3)
        self.output = nn.Conv2d(channels, 1, 3, padding=1)

    def copy_weights_to(self, ours: "EncoderDecoder") -> None:
        """From a network of popular cells to one of ours."""
        for own, module in zip(ours.children(), self.children(), strict=True):
            if isinstance(module, PopularConvLSTMCell):
                module.copy_weights_to(own)
            else:
                own.load_state_dict(module.state_dict())

    def forward(self, frames: Tensor, predicted: int) -> Tensor:
        """Predicts the next frames of (N, T, 1, H, W)."""
        state1 = state2 = None
        for frame in frames.unbind(1):
            state1 = self.encoder1(frame, state1)
            state2 = self.encoder2(state1[0], state2)
        hidden, predictions = state2[0], []
        state3 = state4 = None
        for _ in range(predicted):
            state3 = self.decoder1(hidden, state3)
            state4 = self.decoder2(state3[0], state4)
            hidden = state4[0]
            predictions.append(self.output(hidden).sigmoid())
        return torch.stack(predictions, dim=1)


def loss(network: nn.Module, frames: Tensor, targets: Tensor) -> Tensor:
    return functional.mse_loss(network(frames, targets.shape[1]).float(), targets)


def encoder_decoder_step(size: Size, backend: str, device: torch.device) -> TrainingStep:
    torch.manual_seed(0)
    popular, ours = (EncoderDecoder(cell, size.channels).to(device) for cell in (PopularConvLSTMCell, ConvLSTMCell))
    popular.copy_weights_to(ours)
    frames = torch.rand(size.batch, size.observed + size.predicted, 1, size.side, size.side, device=device)
    of_popular, of_ours = (torch.optim.Adam(network.parameters()) for network in (popular, ours))
    torch._dynamo.reset()
    variants = {
        "popular": Variant(popular, loss, optimizer=of_popular),
        "popular compiled": Variant(torch.compile(popular), loss, optimizer=of_popular),
        "eager": Variant(ours, loss, optimizer=of_ours),
        "ours": Variant(ours, loss, backend, optimizer=of_ours),
        "popular bfloat16": Variant(popular, loss, bfloat16=True, optimizer=of_popular),
        "ours bfloat16": Variant(ours, loss, backend, bfloat16=True, optimizer=of_ours),
    }
    data = [frames[:, : size.observed], frames[:, size.observed :]]
    return TrainingStep("encoder-decoder", str(size), data, variants)


@cases([Size()], [Size(batch=8)])
def test_encoder_decoder(benchmark, report, backend, device, memory, size):
    report(measure(benchmark, encoder_decoder_step(size, backend, device), memory, device))
