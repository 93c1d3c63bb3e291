"""One training step of an RLadder: forward, backward and Adam.

"eager" is the same network on the reference backend, which keeps the memory layout that it is given; where that
may be channels_last, it is measured in both. torch.compile is left out: it takes minutes for a network of this depth
over several time steps.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.training_steps import TrainingStep, Variant, cases, measure
from fastladder.models import RLadder, rladder_music, rladder_occluded_digits


class Size(NamedTuple):
    duration: int
    batch: int

    def __str__(self) -> str:
        return f"T{self.duration} N{self.batch}"


# First the typical size, then how cost grows with duration and batch.
OCCLUDED_DIGITS = [Size(5, 20), Size(5, 4), Size(10, 4)]
MUSIC = [Size(50, 16), Size(10, 16), Size(10, 4)]


def occluded_digits_loss(network: nn.Module, frames: Tensor, labels: Tensor) -> Tensor:
    output = network(frames)
    error = (output.prediction[:, :-1] - frames[:, 1:]).square().sum((2, 3, 4)).mean()
    return functional.cross_entropy(output.logits[:, -1].float(), labels) + error


def music_loss(network: nn.Module, frames: Tensor) -> Tensor:
    logits = network(frames).prediction[:, :-1].float()
    return functional.binary_cross_entropy_with_logits(logits, frames[:, 1:], reduction="sum") / frames.shape[0]


def occluded_digits_step(size: Size, backend: str, device: torch.device) -> TrainingStep:
    torch.manual_seed(0)
    network = RLadder(rladder_occluded_digits(), (1, 32, 32), steps=size.duration).to(device)
    frames = torch.rand(size.batch, size.duration, 1, 32, 32, device=device)
    labels = torch.randint(10, (size.batch,), device=device)
    in_channels_last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    variants = {
        "eager channels_last": Variant(in_channels_last, occluded_digits_loss, optimizer=adam(in_channels_last)),
        **rladder_variants(network, occluded_digits_loss, backend),
    }
    return TrainingStep("RLadder of Table 5", f"{size} 1x32x32", [frames, labels], variants)


def music_step(size: Size, backend: str, device: torch.device) -> TrainingStep:
    torch.manual_seed(0)
    network = RLadder(rladder_music(), (1, 88), steps=size.duration).to(device)
    frames = (torch.rand(size.batch, size.duration, 1, 88, device=device) < 0.05).float()
    variants = rladder_variants(network, music_loss, backend)
    return TrainingStep("RLadder of Table 8", f"{size} 1x88", [frames], variants)


def rladder_variants(network: RLadder, loss: Callable[..., Tensor], backend: str) -> dict[str, Variant]:
    optimizer = adam(network)
    return {
        "eager": Variant(network, loss, optimizer=optimizer),
        "ours": Variant(network, loss, backend, optimizer=optimizer),
        "eager bfloat16": Variant(network, loss, bfloat16=True, optimizer=optimizer),
        "ours bfloat16": Variant(network, loss, backend, bfloat16=True, optimizer=optimizer),
    }


def adam(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), 1e-3)


@cases(OCCLUDED_DIGITS[:1], OCCLUDED_DIGITS[1:])
def test_rladder_occluded_digits(benchmark, report, backend, device, memory, size):
    report(measure(benchmark, occluded_digits_step(size, backend, device), memory, device))


@cases(MUSIC[:1], MUSIC[1:])
def test_rladder_music(benchmark, report, backend, device, memory, size):
    report(measure(benchmark, music_step(size, backend, device), memory, device))
