"""How classifiers of images are trained and evaluated."""

from typing import cast

import torch
from torch import Tensor, nn

from fastladder.data import GroupedBatch
from fastladder.experiments.classification.classifiers import Classifier
from fastladder.experiments.classification.data import LabelledBatch, LabelledData
from fastladder.experiments.seeding import TEST_SEED, VALID_SEED, mixed
from fastladder.experiments.task import Task


class ClassificationTask(Task):
    """A classifier of images, trained with Adam and evaluated on images without noise.

    Args:
        classifier: what is trained.
        learning_rate, decay: as for `fastladder.experiments.task.Task`.
        seed: of noise and first masks.
    """

    progress_score = ("classification_error", "error {:.1f} %")

    def __init__(self, classifier: Classifier, learning_rate: float = 1e-3, decay: float = 0.0, seed: int = 0) -> None:
        super().__init__(learning_rate, decay)
        self.classifier, self.seed = classifier, seed

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated."""
        return self.classifier.network

    def examples(self, batch: LabelledBatch | GroupedBatch) -> int:
        return len(batch.image)

    def training_step(self, batch: LabelledBatch, index: int) -> Tensor:
        self._seed_global(self.seed, self.global_step)  # so that a resumed run draws what an unbroken one draws
        scores = self.classifier.costs(batch)
        self.report("train", scores, batch)
        return scores["cost"]

    def validation_step(self, batch: GroupedBatch, index: int) -> None:
        self._evaluate("valid", VALID_SEED, batch, index)

    def on_test_start(self) -> None:
        data = cast(LabelledData, self.trainer.datamodule)  # type: ignore[attr-defined]
        self.classifier.estimate_statistics(data.training_images())

    def test_step(self, batch: GroupedBatch, index: int) -> None:
        self._evaluate("test", TEST_SEED, batch, index)

    def _evaluate(self, part: str, seed: int, batch: GroupedBatch, index: int) -> None:
        self._seed_global(seed, index)
        self.report(part, self.classifier.scores(batch), batch)

    def _seed_global(self, seed: int, position: int) -> None:
        """Seeds torch's global generator, from which Ladder networks draw, for every process differently."""
        torch.manual_seed(mixed(seed, position, self.global_rank))
