"""What is learned from images by a network with latent variables, and how."""

from typing import Any, Literal

import torch
from lightning.pytorch import Callback
from lightning.pytorch.utilities.seed import isolate_rng
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import update_bn

from fastladder.experiments.latent_images.data import ImageBatch
from fastladder.experiments.latent_images.metrics import UnitDivergences, UnitRecord, active_units
from fastladder.experiments.seeding import TEST_SEED, VALID_SEED
from fastladder.experiments.task import Task
from fastladder.models import Bound, HierarchicalVAE, LadderVAE

SOME = 10_000  # images that the statistics of a validation are of
NETWORKS = {"ladder": LadderVAE, "hierarchical": HierarchicalVAE}


class LatentImagesTask(Task):
    """A network with several layers of latent variables that learns how likely images are.

    cost = the negative bound on the log-likelihood of an image in nats, with the divergence weighed by warm-up

    Args:
        shape: (H, W) of the images.
        network: "ladder" or "hierarchical".
        latents: units of the latent layers, lowest first.
        hidden: units of the MLPs below each of them.
        norm, likelihood, nonlinearity: as of `fastladder.models.LadderVAE`.
        learning_rate: of Adam, at the start.
        anneal_epochs: after every so many epochs the rate is multiplied by 0.75; 0: it stays.
        warm_up: epochs over which the weight of the divergence rises from 0 to 1; 0: it is 1 from the start.
        free_bits: nats that each layer may cost for nothing.
        samples, importance: how many samples the bound has in training.
        test_samples: importance samples of the log-likelihood in the test.
        seed: of what is drawn in training.
    """

    progress_score = ("bound", "{:.2f} nats")

    def __init__(
        self,
        shape: tuple[int, int],
        network: Literal["ladder", "hierarchical"] = "ladder",
        latents: list[int] | None = None,
        hidden: list[int] | None = None,
        norm: Literal["batch", "none"] = "batch",
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        nonlinearity: Literal["leaky_relu", "tanh", "relu"] = "leaky_relu",
        learning_rate: float = 0.001,
        anneal_epochs: int = 0,
        warm_up: int = 0,
        free_bits: float = 0.0,
        samples: int = 1,
        importance: int = 1,
        test_samples: int = 5000,
        seed: int = 0,
    ) -> None:
        super().__init__(learning_rate)
        for name, value, least in (
            ("anneal_epochs", anneal_epochs, 0),
            ("warm_up", warm_up, 0),
            ("samples", samples, 1),
            ("importance", importance, 1),
            ("test_samples", test_samples, 1),
        ):
            if value < least:
                raise ValueError(f"{name}: got {value}, needs {least} or more")
        if free_bits and importance > 1:
            raise ValueError(f"free_bits: got {free_bits} with {importance} importance samples, which have none")
        sizes: dict[str, Any] = {"latents": latents, "hidden": hidden}
        self.network = NETWORKS[network](
            shape,
            **{name: value for name, value in sizes.items() if value is not None},
            norm=norm,
            likelihood=likelihood,
            nonlinearity=nonlinearity,
        )
        self.anneal_epochs, self.warm_up, self.free_bits = anneal_epochs, warm_up, free_bits
        self.samples, self.importance, self.test_samples = samples, importance, test_samples
        self.seed = seed
        self.divergences = UnitDivergences(self.network.latents)

    @property
    def evaluated(self) -> torch.nn.Module:
        """The network that is evaluated."""
        return self.network

    @property
    def beta(self) -> float:
        """The weight of the divergence in this epoch."""
        return min(1.0, self.current_epoch / self.warm_up) if self.warm_up else 1.0

    def examples(self, batch: ImageBatch) -> int:
        """The images of a batch."""
        return len(batch.image)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = super().configure_optimizers()
        if not self.anneal_epochs:
            return optimizer
        assert isinstance(optimizer, torch.optim.Optimizer)
        schedule = LambdaLR(optimizer, lambda epoch: 0.75 ** (epoch // self.anneal_epochs))
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def training_step(self, batch: ImageBatch, index: int) -> Tensor:
        bound = self.network(
            batch.image,
            self.samples,
            self.importance,
            self.beta,
            self.free_bits,
            generator=self.generator(self.seed, self.global_step),
        )
        self.report("train", {"cost": bound.objective, "bound": bound.elbo}, batch)
        return bound.objective

    def on_validation_start(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        collect_statistics(self.network, data.learned_images(SOME))

    def validation_step(self, batch: ImageBatch, index: int) -> None:
        bound = self.network(batch.image, generator=self.generator(VALID_SEED, index))
        self.divergences.update(bound.layers)
        divergences = {f"kl_{i}": kl.mean() for i, kl in enumerate(bound.kl, start=1)}
        self.report("valid", scores_of(bound) | divergences, batch)

    def on_test_start(self) -> None:
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        collect_statistics(self.network, data.learned_images())
        self.divergences.reset()

    def test_step(self, batch: ImageBatch, index: int) -> None:
        generator = self.generator(TEST_SEED, index)
        bound = self.network(batch.image, generator=generator)
        self.divergences.update(bound.layers)
        likelihood = self.network.log_likelihood(batch.image, self.test_samples, generator=generator).mean()
        self.report("test", scores_of(bound) | {"log_likelihood": likelihood}, batch)

    def on_test_epoch_end(self) -> None:
        for name, count in active_units(self.divergences.compute().split(self.divergences.latents)).items():
            self.log(f"test/{name}", count)

    def configure_callbacks(self) -> list[Callback]:
        return [UnitRecord(self.divergences)]


def collect_statistics(network: torch.nn.Module, images: Tensor) -> None:
    """Collects the statistics of batch normalisation anew, from all the images together.

    They go through the network as a single batch. Among 256 images none is more than 16 deviations from their mean, so
    that in training an unusual one stays within bounds, layer after layer. In evaluation nothing holds it: with
    averages over batches of 256, a VAE of five layers gave three MNIST digits in a thousand hundreds to millions of
    nats. The statistics of a single batch include what became of such images in the layers before.

    The network is in evaluation mode then. What is drawn for the latent variables is the same every time.
    """
    with isolate_rng():
        torch.manual_seed(TEST_SEED)
        update_bn([images.to(next(network.parameters()).device)], network)
    network.eval()


def scores_of(bound: Bound) -> dict[str, Tensor]:
    """What is reported of the bound of a batch."""
    return {"cost": bound.objective, "bound": bound.elbo, "reconstruction": bound.reconstruction.mean()}
