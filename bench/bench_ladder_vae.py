"""One training step of the ladder VAE of five layers: forward, backward and Adam.

"eager" and torch.compile are the same network on the reference backend. torch.compile is left out where it would
compile once more for another number of samples, which takes minutes.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.training_steps import TrainingStep, Variant, cases, measure
from fastladder.models import LadderVAE


class Size(NamedTuple):
    batch: int
    samples: int
    importance: int

    def __str__(self) -> str:
        return f"N{self.batch} S{self.samples} K{self.importance}"


# First the training of the paper, then its fine-tuning with ten samples of each kind.
TRAINING, FINE_TUNING = Size(256, 1, 1), Size(256, 10, 10)


def ladder_vae_step(size: Size, backend: str, device: torch.device) -> TrainingStep:
    torch.manual_seed(0)
    network = LadderVAE((28, 28)).to(device)
    images = torch.bernoulli(torch.full((size.batch, 28, 28), 0.2, device=device))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)

    def loss(network: nn.Module, images: Tensor) -> Tensor:
        return network(images, size.samples, size.importance).objective

    variants = {
        "eager": Variant(network, loss, optimizer=optimizer),
        "ours": Variant(network, loss, backend, optimizer=optimizer),
        "eager bfloat16": Variant(network, loss, bfloat16=True, optimizer=optimizer),
        "ours bfloat16": Variant(network, loss, backend, bfloat16=True, optimizer=optimizer),
    }
    if size == TRAINING:
        compiled = torch.compile(network)
        variants["torch.compile"] = Variant(compiled, loss, optimizer=optimizer)
        variants["torch.compile bfloat16"] = Variant(compiled, loss, bfloat16=True, optimizer=optimizer)
    return TrainingStep("ladder VAE", f"{size} 28x28", [images], variants)


@cases([TRAINING], [FINE_TUNING])
def test_ladder_vae(benchmark, report, backend, device, memory, size):
    report(measure(benchmark, ladder_vae_step(size, backend, device), memory, device))
