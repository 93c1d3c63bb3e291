"""How well a network with latent variables models images, and which of its units have something to say."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric

from fastladder.models import LatentLayer

ACTIVE = 0.01  # nats: a unit whose divergence is above it counts as active (Sonderby et al., 2016, Table 2)
UNITS = "unit_divergences"  # where a checkpoint keeps its UnitRecord
LABELS = {
    "log_likelihood": "log-likelihood by importance sampling (nats)",
    "bound": "bound of one sample (nats)",
    "reconstruction": "  reconstruction (nats)",
    "active": "active units",
    **{f"active_z{layer}": f"  of z{layer}" for layer in range(1, 6)},
}


class UnitDivergences(Metric):
    """KL(q || p) of every unit in nats, the mean over the images of many batches and of all processes.

    Args:
        latents: units of the latent layers, lowest first.
    """

    sums: Tensor
    count: Tensor

    def __init__(self, latents: Sequence[int]) -> None:
        super().__init__()
        self.latents = list(latents)
        self.add_state("sums", torch.zeros(sum(latents)), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, layers: Sequence[LatentLayer]) -> None:
        """Adds a batch."""
        self.sums += torch.cat([layer.units_kl.sum(0) for layer in layers])
        self.count += len(layers[0].z)

    def compute(self) -> Tensor:
        """Of all layers, lowest first, (units,)."""
        return self.sums / self.count


class UnitRecord(Callback):
    """Puts what every unit's divergence was in the validation after every epoch into the checkpoints.

    Args:
        divergences: that the task measures in its validation.

    Attributes:
        epochs: their numbers, from 1.
        nats: KL(q || p), (epochs, units), those of the lowest layer first.
    """

    def __init__(self, divergences: UnitDivergences) -> None:
        self.divergences = divergences
        self.epochs: list[int] = []
        self.nats = torch.empty(0, sum(divergences.latents))

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.divergences.reset()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.epochs.append(trainer.current_epoch + 1)
        self.nats = torch.cat([self.nats, self.divergences.compute().cpu()[None]])

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[UNITS] = {"epochs": list(self.epochs), "nats": self.nats}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if UNITS in checkpoint:  # which a run from before does not have
            self.epochs, self.nats = list(checkpoint[UNITS]["epochs"]), checkpoint[UNITS]["nats"]


def active_units(divergences: Sequence[Tensor]) -> dict[str, Tensor]:
    """The number of active units, of all layers and of each, which are counted from 1.

    Args:
        divergences: of every unit in nats, (latents,) a layer, lowest first.
    """
    counts = [(divergence > ACTIVE).sum().float() for divergence in divergences]
    return {"active": torch.stack(counts).sum()} | {f"active_z{i}": count for i, count in enumerate(counts, start=1)}
