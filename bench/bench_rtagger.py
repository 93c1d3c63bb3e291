"""One training step of an RTagger, forward, backward and Adam: Table 9, and the small one of shapes.

"eager" is the same network on the reference backend. torch.compile is left out: it takes minutes for a network of this
depth over several iterations. "ours, recomputed" computes the activations of each iteration anew in the backward pass.
"""

import copy

import torch
from torch import Tensor, nn

from bench.training_steps import TrainingStep, Variant, cases, measure
from fastladder.models import RTagger, rtagger_shapes, rtagger_textures

TEXTURES, SHAPES = "Table 9", "Shapes"
NETWORKS = {
    TEXTURES: (rtagger_textures, (96, 96), 10, 1, "gaussian"),
    SHAPES: (rtagger_shapes, (20, 20), None, 50, "bernoulli"),
}


def loss(network: nn.Module, target: Tensor) -> Tensor:
    output = network(target)
    return output.cost - sum(each[:, 0].mean() for each in output.log_probabilities)


def rtagger_step(name: str, backend: str, device: torch.device) -> TrainingStep:
    levels, shape, classes, batch, likelihood = NETWORKS[name]
    torch.manual_seed(0)
    network = RTagger(levels(), shape, classes=classes, likelihood=likelihood, validate=False).to(device)
    recomputing = copy.deepcopy(network)
    recomputing.recompute = True
    target = (torch.rand(batch, *shape, device=device) < 0.3).float()
    ours, ours_recomputed = adam(network), adam(recomputing)
    variants = {
        "eager": Variant(network, loss, optimizer=ours),
        "ours": Variant(network, loss, backend, optimizer=ours),
        "ours, recomputed": Variant(recomputing, loss, backend, optimizer=ours_recomputed),
        "eager bfloat16": Variant(network, loss, bfloat16=True, optimizer=ours),
        "ours bfloat16": Variant(network, loss, backend, bfloat16=True, optimizer=ours),
    }
    sizes = "x".join(map(str, shape))
    return TrainingStep(f"RTagger of {name}", f"K3 T3 N{batch} {sizes}", [target], variants)


def adam(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), 1e-3)


@cases([TEXTURES], [SHAPES])
def test_rtagger(benchmark, report, backend, device, memory, size):
    report(measure(benchmark, rtagger_step(size, backend, device), memory, device))
