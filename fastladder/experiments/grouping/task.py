"""What is trained and how: a Tagger that learns to group without labels."""

from typing import Literal

import torch
from torch import Tensor
from typing_extensions import Unpack

from fastladder.experiments.grouping.metrics import adjusted_mutual_information
from fastladder.experiments.images import GroupedBatch
from fastladder.experiments.seeding import TEST_SEED, VALID_SEED
from fastladder.experiments.task import Task
from fastladder.models import Tagger
from fastladder.nn import TagOptions

SCORED = 100  # images of a validation batch whose groups are scored, which takes longer than the network
# For Shapes, as the paper trains them. The data sets have been checked, so that the values need not be.
OPTIONS: TagOptions = {"likelihood": "bernoulli", "initial_mean": 0.26, "validate": False}


class TaggerTask(Task):
    """A Tagger that learns to denoise (Greff et al., 2016, Eq. 1).

    cost = mean over iterations, images and pixels of the negative log likelihood, in nats

    It is evaluated by that cost in every iteration, of corrupted images, and by the adjusted mutual information of its
    groups in every iteration, of images without noise.

    Args:
        data_shape: of an image.
        widths, norm, top_activation: as for `fastladder.models.Tagger`.
        learning_rate: of Adam, at the start.
        schedule: "constant", as in the paper, or "linear": it falls linearly to 0 over the run.
        test_groups: K in the test.
        test_iterations: T in the test.
        seed: of first masks and corruption.
        options: others of `fastladder.models.Tagger`, with the defaults of `OPTIONS` where these name them.
    """

    progress_score = ("ami", "AMI {:.2f}")

    def __init__(
        self,
        data_shape: tuple[int, ...] = (20, 20),
        widths: tuple[int, ...] = (2000, 1000, 500),
        norm: Literal["batch", "layer"] = "layer",
        top_activation: Literal["softmax", "relu"] = "softmax",
        learning_rate: float = 4e-4,
        schedule: Literal["constant", "linear"] = "constant",
        test_groups: int = 4,
        test_iterations: int = 5,
        seed: int = 0,
        **options: Unpack[TagOptions],
    ) -> None:
        super().__init__(learning_rate, decay={"constant": 0.0, "linear": 1.0}[schedule])
        self.seed = seed
        self.test_options = {"groups": test_groups, "iterations": test_iterations}
        options = {**OPTIONS, **options}
        self.network = Tagger(data_shape, widths, norm=norm, top_activation=top_activation, **options)

    @property
    def evaluated(self) -> Tagger:
        """The network that is evaluated."""
        return self.network

    def examples(self, batch: GroupedBatch) -> int:
        return len(batch.image)

    def on_train_epoch_start(self) -> None:
        # By the epoch, so that a resumed run draws what an unbroken one draws.
        self.training_generator = self.generator(self.seed, self.current_epoch)

    def training_step(self, batch: GroupedBatch, index: int) -> Tensor:
        cost = self.network(batch.image, generator=self.training_generator).cost
        self.report("train", {"cost": cost}, batch)
        return cost

    def validation_step(self, batch: GroupedBatch, index: int) -> None:
        generator = self.generator(VALID_SEED, index)
        scores = {"cost": self.network(batch.image, corrupt=True, generator=generator).costs[-1].mean()}
        few = batch._replace(image=batch.image[:SCORED], groups=batch.groups[:SCORED])
        scores["ami"] = self._agreement(few, generator)[-1]
        self.report("valid", scores, batch)

    def test_step(self, batch: GroupedBatch, index: int) -> None:
        generator = self.generator(TEST_SEED, index)
        costs = self.network(batch.image, corrupt=True, generator=generator, **self.test_options).costs.mean(1)
        agreement = self._agreement(batch, generator, **self.test_options)
        scores = {f"cost_{iteration}": cost for iteration, cost in enumerate(costs, 1)}
        scores |= {f"ami_{iteration}": score for iteration, score in enumerate(agreement, 1)}
        self.report("test", scores, batch)

    def _agreement(self, batch: GroupedBatch, generator: torch.Generator, **options: int) -> list[Tensor]:
        """The adjusted mutual information of every iteration, over images of which any pixel is scored."""
        masks = self.network(batch.image, generator=generator, corrupt=False, **options).masks
        scored = (batch.groups > 0).flatten(1).any(1)
        return [adjusted_mutual_information(mask[scored], batch.groups[scored]).mean() for mask in masks]
