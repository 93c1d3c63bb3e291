"""What is trained and how: a network that learns to group without labels."""

from typing import Any, Literal

import torch
from torch import Tensor

from fastladder.data import GroupedBatch
from fastladder.experiments.grouping.metrics import adjusted_mutual_information, mean_score
from fastladder.experiments.seeding import TEST_SEED, VALID_SEED
from fastladder.experiments.task import Task
from fastladder.models import RTagger, RTaggerOutput, Tagger, TaggerOutput

SCORED = 100  # images of a validation batch whose groups are scored, which takes longer than the network
Schedule = Literal["constant", "linear"]


class GroupingTask(Task):
    """A network that learns to group without labels. A task of its own defines `run` and how it is evaluated.

    cost = mean over iterations, examples and pixels of the negative log likelihood, in nats

    Args:
        network: which learns.
        learning_rate: of Adam, at the start.
        schedule: "constant", as in the paper, or "linear": it falls linearly to 0 over the run.
        seed: of first masks and corruption.
    """

    progress_score = ("ami", "AMI {:.2f}")

    def __init__(
        self,
        network: Tagger | RTagger,
        learning_rate: float = 4e-4,
        schedule: Schedule = "constant",
        seed: int = 0,
    ) -> None:
        super().__init__(learning_rate, decay={"constant": 0.0, "linear": 1.0}[schedule])
        self.seed = seed
        self.network = network

    @property
    def evaluated(self) -> Tagger | RTagger:
        """The network that is evaluated."""
        return self.network

    def run(self, batch: Any, **options: Any) -> TaggerOutput | RTaggerOutput:
        """What the network makes of a batch, with options of its call."""
        raise NotImplementedError

    def examples(self, batch: Any) -> int:
        return len(batch.groups)

    def on_train_epoch_start(self) -> None:
        # By the epoch, so that a resumed run draws what an unbroken one draws.
        self.training_generator = self.generator(self.seed, self.current_epoch)

    def training_step(self, batch: Any, index: int) -> Tensor:
        cost = self.run(batch, generator=self.training_generator).cost
        self.report("train", {"cost": cost}, batch)
        return cost


class ImageGroupingTask(GroupingTask):
    """A network that learns to denoise images in groups (Greff et al., 2016, Eq. 1).

    It is evaluated by the cost of every iteration, of corrupted images, and by the adjusted mutual information of its
    groups in every iteration, of images without noise.

    Args:
        network: which learns.
        test_groups: K in the test.
        test_iterations: T in the test.
        options: others of `GroupingTask`.
    """

    def __init__(
        self, network: Tagger | RTagger, test_groups: int = 4, test_iterations: int = 5, **options: Any
    ) -> None:
        super().__init__(network, **options)
        self.test_options = {"groups": test_groups, "iterations": test_iterations}

    def run(self, batch: GroupedBatch, **options: Any) -> TaggerOutput | RTaggerOutput:
        output: TaggerOutput | RTaggerOutput = self.network(batch.image, **options)
        return output

    def validation_step(self, batch: GroupedBatch, index: int) -> None:
        generator = self.generator(VALID_SEED, index)
        scores = {"cost": self.run(batch, corrupt=True, generator=generator).costs[-1].mean()}
        few = batch._replace(image=batch.image[:SCORED], groups=batch.groups[:SCORED])
        scores["ami"] = self._agreement(few, generator)[-1]
        self.report("valid", scores, batch)

    def test_step(self, batch: GroupedBatch, index: int) -> None:
        generator = self.generator(TEST_SEED, index)
        costs = self.run(batch, corrupt=True, generator=generator, **self.test_options).costs.mean(1)
        agreement = self._agreement(batch, generator, **self.test_options)
        scores = {f"cost_{iteration}": cost for iteration, cost in enumerate(costs, 1)}
        scores |= {f"ami_{iteration}": score for iteration, score in enumerate(agreement, 1)}
        self.report("test", scores, batch)

    def _agreement(self, batch: GroupedBatch, generator: torch.Generator, **options: int) -> list[Tensor]:
        """The adjusted mutual information of every iteration, over images of which any pixel is scored."""
        masks = self.run(batch, generator=generator, corrupt=False, **options).masks
        return [mean_score(adjusted_mutual_information, mask, batch.groups) for mask in masks]
