"""How well a network with latent variables models images, and which of its units have something to say."""

from collections.abc import Sequence

import torch
from torch import Tensor

from fastladder.models import LatentLayer

ACTIVE = 0.01  # nats: a unit whose divergence is above it counts as active (Sonderby et al., 2016, Table 2)
LABELS = {
    "log_likelihood": "log-likelihood by importance sampling (nats)",
    "bound": "bound of one sample (nats)",
    "reconstruction": "  reconstruction (nats)",
    "active": "active units",
    **{f"active_z{layer}": f"  of z{layer}" for layer in range(1, 6)},
}


class UnitDivergences:
    """The mean divergence of every unit over many batches."""

    def __init__(self) -> None:
        self.sums: list[Tensor] = []
        self.count = 0

    def add(self, layers: Sequence[LatentLayer]) -> None:
        """Adds a batch."""
        sums = [layer.units_kl.sum(0) for layer in layers]
        self.sums = [a + b for a, b in zip(self.sums, sums, strict=True)] if self.sums else sums
        self.count += len(layers[0].z)

    def means(self) -> list[Tensor]:
        """KL(q || p) of every unit in nats, the mean over all images; (latents,) a layer, lowest first."""
        return [total / self.count for total in self.sums]


def active_units(divergences: Sequence[Tensor]) -> dict[str, Tensor]:
    """The number of active units, of all layers and of each, which are counted from 1.

    Args:
        divergences: of every unit in nats, (latents,) a layer, lowest first.
    """
    counts = [(divergence > ACTIVE).sum().float() for divergence in divergences]
    return {"active": torch.stack(counts).sum()} | {f"active_z{i}": count for i, count in enumerate(counts, start=1)}
