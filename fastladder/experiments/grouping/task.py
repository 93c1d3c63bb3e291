"""What is trained and how: a Tagger that learns to group without labels."""

from typing import Literal

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import PolynomialLR

from fastladder.experiments.errors import check_finite
from fastladder.experiments.grouping.metrics import adjusted_mutual_information
from fastladder.experiments.images import GroupedBatch
from fastladder.experiments.seeding import mixed
from fastladder.models import Tagger
from fastladder.nn.tag import INITIAL_VARIANCE

VALID_SEED, TEST_SEED = 1_000_001, 1_000_002  # of first masks and corruption: the same for every run
JUDGED = 100  # images of a validation batch whose groups are scored, which takes longer than the network


class TaggerTask(LightningModule):
    """A Tagger that learns to denoise (Greff et al., 2016, Eq. 1).

    cost = mean over iterations, images and pixels of the negative log likelihood, in nats

    It is judged by that cost in every iteration, of corrupted images, and by the adjusted mutual information of its
    groups in every iteration, of images as they are.

    Args:
        data_shape: of an image.
        widths, groups, iterations, likelihood, noise, initial_mean, initial_variance, delta, legacy_variance, norm,
            top_activation: as for `fastladder.models.Tagger`.
        learning_rate: of Adam, at the start.
        schedule: "constant", as in the paper, or "linear": it falls in a line to 0 over the run.
        test_groups: K in the test.
        test_iterations: T in the test.
        seed: of first masks and corruption.
    """

    def __init__(
        self,
        data_shape: tuple[int, ...] = (20, 20),
        widths: tuple[int, ...] = (2000, 1000, 500),
        groups: int = 4,
        iterations: int = 3,
        likelihood: Literal["gaussian", "bernoulli"] = "bernoulli",
        noise: float = 0.2,
        initial_mean: float = 0.26,
        initial_variance: float = INITIAL_VARIANCE,
        delta: Literal["residual", "weighted", "gradient"] = "residual",
        legacy_variance: bool = False,
        norm: Literal["batch", "layer"] = "layer",
        top_activation: Literal["softmax", "relu"] = "softmax",
        learning_rate: float = 4e-4,
        schedule: Literal["constant", "linear"] = "constant",
        test_groups: int = 4,
        test_iterations: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 0 < learning_rate < float("inf"):
            raise ValueError(f"learning_rate: got {learning_rate}, needs a number above 0")
        self.learning_rate, self.schedule, self.seed = learning_rate, schedule, seed
        self.test_options = {"groups": test_groups, "iterations": test_iterations}
        self.network = Tagger(
            data_shape,
            widths,
            groups=groups,
            iterations=iterations,
            likelihood=likelihood,
            noise=noise,
            initial_mean=initial_mean,
            initial_variance=initial_variance,
            delta=delta,
            legacy_variance=legacy_variance,
            norm=norm,
            top_activation=top_activation,
            validate=False,  # the data sets have been checked
        )

    @property
    def evaluated(self) -> Tagger:
        """The network that is judged."""
        return self.network

    def on_train_epoch_start(self) -> None:
        # By the epoch, so that a resumed run draws what an unbroken one draws.
        self.chance = self._chance(self.seed, self.current_epoch)

    def training_step(self, batch: GroupedBatch, index: int) -> Tensor:
        cost = self.network(batch.image, generator=self.chance).cost
        check_finite(cost, "train", self)
        self._report("train", {"cost": cost.detach()}, batch)
        return cost

    def validation_step(self, batch: GroupedBatch, index: int) -> None:
        chance = self._chance(VALID_SEED, index)
        scores = {"cost": self.network(batch.image, corrupt=True, generator=chance).costs[-1].mean()}
        few = batch._replace(image=batch.image[:JUDGED], groups=batch.groups[:JUDGED])
        scores["ami"] = self._agreement(few, chance)[-1]
        self._report("valid", scores, batch)

    def test_step(self, batch: GroupedBatch, index: int) -> None:
        chance = self._chance(TEST_SEED, index)
        costs = self.network(batch.image, corrupt=True, generator=chance, **self.test_options).costs.mean(1)
        agreement = self._agreement(batch, chance, **self.test_options)
        scores = {f"cost_{iteration}": cost for iteration, cost in enumerate(costs, 1)}
        self._report(
            "test", scores | {f"ami_{iteration}": score for iteration, score in enumerate(agreement, 1)}, batch
        )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.Adam(self.network.parameters(), self.learning_rate)
        if self.schedule == "constant":
            return optimizer
        schedule = PolynomialLR(optimizer, total_iters=int(self.trainer.estimated_stepping_batches), power=1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _agreement(self, batch: GroupedBatch, chance: torch.Generator, **options: int) -> list[Tensor]:
        """The adjusted mutual information of every iteration, over images of which any pixel is scored."""
        masks = self.network(batch.image, generator=chance, corrupt=False, **options).masks
        scored = (batch.groups > 0).flatten(1).any(1)
        return [adjusted_mutual_information(mask[scored], batch.groups[scored]).mean() for mask in masks]

    def _chance(self, seed: int, position: int) -> torch.Generator:
        """A source of chance of its own, another one on every process."""
        return torch.Generator(self.device).manual_seed(mixed(seed, position, self.global_rank))

    def _report(self, part: str, scores: dict[str, Tensor], batch: GroupedBatch) -> None:
        self.log_dict(
            {f"{part}/{name}": score.float() for name, score in scores.items()},
            batch_size=len(batch.image),
            on_step=False,
            on_epoch=True,
            sync_dist=True,
        )
