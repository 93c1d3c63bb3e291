"""Measures one training step of a network, forward, backward and optimizer, in several variants."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

import pytest
import torch
from torch import Tensor, nn

import fastladder
from bench import targets
from bench.harness import interleaved
from bench.memory import peak_bytes, saved_bytes


@dataclass
class Variant:
    """One way to take a training step.

    Args:
        network: may be compiled.
        loss: of the network and the data of the training step.
        backend: of fastladder's operators. "reference" is eager PyTorch.
        bfloat16: whether the forward pass runs under bfloat16 autocast.
        optimizer: of the network's parameters; without one, the step ends with their gradients.
    """

    network: nn.Module
    loss: Callable[..., Tensor]
    backend: str = "reference"
    bfloat16: bool = False
    optimizer: torch.optim.Optimizer | None = None

    def forward(self, data: list[Tensor]) -> Tensor:
        with ExitStack() as stack:
            stack.enter_context(fastladder.use_backend(self.backend))
            if self.bfloat16:
                stack.enter_context(torch.autocast(data[0].device.type, torch.bfloat16))
            return self.loss(self.network, *data)

    def step(self, data: list[Tensor]) -> None:
        self.network.zero_grad()
        self.forward(data).backward()
        if self.optimizer is not None:
            self.optimizer.step()


@dataclass
class TrainingStep:
    """The training step of a network on one batch, in variants.

    Those of fastladder are called "ours" and, under autocast, "ours bfloat16". The names of others end with "bfloat16"
    under autocast.
    """

    network: str
    input: str  # its sizes
    data: list[Tensor]
    variants: dict[str, Variant]


@dataclass
class StepMeasurement:
    """One block of the table of training steps: medians in milliseconds, and bytes, of every variant."""

    network: str
    input: str
    memory: str  # "user": as in a process of a user; "kept": freed memory is kept
    milliseconds: dict[str, float]
    saved: dict[str, int]  # bytes kept for the backward pass beside data and parameters
    peak: dict[str, int | None]  # bytes that a step takes at most, gradients included

    def ratio(self, other: str, ours: str) -> float:
        """How many times faster than another variant ours is."""
        return self.milliseconds[other] / self.milliseconds[ours]

    def verdict(self, ours: str) -> str:
        """Whether this variant of ours meets the project's targets, and no other of its dtype is faster."""
        others = [name for name in self.milliseconds if not is_ours(name) and is_bfloat16(name) == is_bfloat16(ours)]
        least = dict.fromkeys(((other, ours) for other in others), 1.0)
        least |= targets.TRAINING_STEPS.get(self.network, {})
        return targets.verdict((self.ratio(*pair), wanted) for pair, wanted in least.items() if pair[1] == ours)

    def record(self) -> dict:
        ours = [name for name in self.milliseconds if is_ours(name)]
        others = [name for name in self.milliseconds if not is_ours(name)]
        return asdict(self) | {
            "ratios": {name: {other: self.ratio(other, name) for other in others} for name in ours},
            "verdicts": {name: self.verdict(name) for name in ours},
        }


def is_ours(variant: str) -> bool:
    return variant.startswith("ours")


def is_bfloat16(variant: str) -> bool:
    return variant.endswith("bfloat16")


def cases(typical: Sequence[object], others: Sequence[object]) -> pytest.MarkDecorator:
    """Parametrizes a benchmark over sizes.

    Args:
        typical: sizes that are measured with memory as in a process of a user, and once more with memory kept.
        others: sizes that are measured as in a process of a user only.
    """
    given = [("user", size) for size in (*typical, *others)] + [("kept", size) for size in typical]
    parameters = [pytest.param(memory, size, id=f"{memory}-{size}") for memory, size in given]
    return pytest.mark.parametrize(("memory", "size"), parameters, indirect=["memory"])


def measure(benchmark, step: TrainingStep, memory: str, device: torch.device) -> StepMeasurement:
    """Measures all variants of a training step in one process."""

    def runner(variant: Variant) -> Callable[[], None]:
        return lambda: variant.step(step.data)

    runs = {name: runner(variant) for name, variant in step.variants.items()}
    milliseconds = interleaved(benchmark, runs, device)
    saved, peak = {}, {}
    for name, variant in step.variants.items():
        variant.network.zero_grad()
        saved[name] = saved_bytes(lambda variant=variant: variant.forward(step.data), [], held(step, variant))
        peak[name] = peak_bytes(runs[name], device)
    return StepMeasurement(step.network, step.input, memory, milliseconds, saved, peak)


def held(step: TrainingStep, variant: Variant) -> list[Tensor]:
    """What exists between steps: data, parameters and running statistics."""
    return [*step.data, *variant.network.parameters(), *variant.network.buffers()]
