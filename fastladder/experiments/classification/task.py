"""How the classifiers of Table 2 of Tagger are trained and judged."""

from typing import cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from fastladder.experiments.classification.classifiers import Classifier, classification_error, cross_entropy
from fastladder.experiments.classification.data import LabelledBatch, LabelledData
from fastladder.experiments.errors import check_finite
from fastladder.experiments.grouping.task import TEST_SEED, VALID_SEED
from fastladder.experiments.images import GroupedBatch
from fastladder.experiments.seeding import mixed


class ClassificationTask(LightningModule):
    """A classifier of textured digits, trained with Adam and judged by images as they are.

    Args:
        classifier: what is trained.
        learning_rate: at the start.
        decay: the share of the run, at its end, over which the learning rate falls in a line to 0.
        seed: of noise and first masks.
    """

    def __init__(self, classifier: Classifier, learning_rate: float = 1e-3, decay: float = 0.0, seed: int = 0) -> None:
        super().__init__()
        if not 0 < learning_rate < float("inf"):
            raise ValueError(f"learning_rate: got {learning_rate}, needs a number above 0")
        if not 0 <= decay <= 1:
            raise ValueError(f"decay: got {decay}, needs 0 to 1")
        self.classifier, self.learning_rate, self.decay, self.seed = classifier, learning_rate, decay, seed

    @property
    def evaluated(self) -> nn.Module:
        """The network that is judged."""
        return self.classifier.network

    def training_step(self, batch: LabelledBatch, index: int) -> Tensor:
        self._set_chance(self.seed, self.global_step)  # so that a resumed run draws what an unbroken one draws
        scores = self.classifier.costs(batch)
        self._report("train", scores, len(batch.image))
        return scores["cost"]

    def validation_step(self, batch: GroupedBatch, index: int) -> None:
        self._judge("valid", VALID_SEED, batch, index)

    def on_test_start(self) -> None:
        data = cast(LabelledData, self.trainer.datamodule)  # type: ignore[attr-defined]
        self.classifier.estimate_statistics(data.training_images())

    def test_step(self, batch: GroupedBatch, index: int) -> None:
        self._judge("test", TEST_SEED, batch, index)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.Adam(self.classifier.parameters(), self.learning_rate)
        steps = int(self.trainer.estimated_stepping_batches)
        falls = self.decay * steps
        schedule = LambdaLR(optimizer, lambda step: min(1.0, (steps - step) / falls) if falls else 1.0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _judge(self, part: str, seed: int, batch: GroupedBatch, index: int) -> None:
        assert batch.label is not None
        self._set_chance(seed, index)
        answer = self.classifier(batch.image)
        error = classification_error(answer, batch.label)
        scores = {"cost": cross_entropy(answer, batch.label), "classification_error": error}
        self._report(part, scores, len(batch.image))

    def _set_chance(self, seed: int, position: int) -> None:
        """Seeds torch's own source of chance, from which Ladder networks draw, for each process another way."""
        torch.manual_seed(mixed(seed, position, self.global_rank))

    def _report(self, part: str, scores: dict[str, Tensor], count: int) -> None:
        """Logs scores, averaged by the trainer over all images and processes of the epoch."""
        check_finite(scores["cost"], part, self)
        self.log_dict(
            {f"{part}/{name}": score.detach().float() for name, score in scores.items()},
            batch_size=count,
            on_step=False,
            on_epoch=True,
            sync_dist=True,
        )
