"""Occluded moving digits (Recurrent Ladder Networks, section 4.1): classify the digit, predict the next frame.

Every frame that is fed in or predicted is the observed one, behind the occluders.
"""

from collections.abc import Sequence as Batches
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import PolynomialLR
from torch.utils.data import DataLoader

from fastladder.data import (
    PAPER,
    SMALL,
    OccludedMovingDigits,
    Sequence,
    Splits,
    bundled_digits,
    mnist_splits,
    split_digits,
)
from fastladder.experiments.errors import NonFiniteCostError, RunError
from fastladder.models import RLadder, small, table5

NETWORKS = {"small": small, "table5": table5}

# The sequences to choose by and to report on are the same for every run. Those to learn from depend on its seed.
VALID_SEED, TEST_SEED = 1_000_001, 1_000_002


class MovingDigitsData(LightningDataModule):
    """Batches of occluded moving digits. Training has new trajectories and a new order in every epoch.

    Both depend on the seed and the epoch alone, so that a resumed run sees what an unbroken one sees. Several processes
    share each batch, so that they see together what one process would.

    Args:
        source: "bundled", the 8 x 8 digits of scikit-learn on 20 x 20, or "mnist", halved to 14 x 14 on 32 x 32 as in
            the paper.
        batch_size: sequences in a batch, over all processes.
        sequences_per_digit: how many sequences an epoch shows of every digit.
        folder: where MNIST lies; None looks at FASTLADDER_DATA.
        download: fetch MNIST into that folder if it is not there.
        seed: of the trajectories and of the order.
    """

    def __init__(
        self,
        source: Literal["bundled", "mnist"] = "bundled",
        batch_size: int = 100,
        sequences_per_digit: int = 1,
        folder: str | None = None,
        download: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in dict(batch_size=batch_size, sequences_per_digit=sequences_per_digit).items():
            if value < 1:
                raise ValueError(f"{name}: got {value}, needs 1 or more")
        self.config = SMALL if source == "bundled" else PAPER
        self.batch_size = batch_size
        self.seed = seed
        if source == "bundled":
            splits = split_digits(bundled_digits())
        else:
            splits = mnist_splits(Path(folder) if folder else None, download=download)
            splits = Splits(*(part.halved() for part in splits))
        indices = [torch.arange(len(part)).repeat(sequences_per_digit) for part in splits]
        self.digits = Splits(*(part.subset(index) for part, index in zip(splits, indices, strict=True)))
        if len(self.digits.train) < batch_size:
            raise ValueError(f"batch_size: got {batch_size}, needs {len(self.digits.train)}, the training set, or less")

    def setup(self, stage: str) -> None:
        device = self.trainer.strategy.root_device if self.trainer else "cpu"
        processes = self.trainer.world_size if self.trainer else 1
        if self.batch_size % processes:
            raise RunError(f"batch_size: got {self.batch_size}, needs a multiple of the {processes} processes")
        seeds = (self.seed, VALID_SEED, TEST_SEED)
        self.train, self.valid, self.test = (
            OccludedMovingDigits(digits, self.config, seed=seed, device=device)
            for digits, seed in zip(self.digits, seeds, strict=True)
        )

    def train_dataloader(self) -> DataLoader[Sequence]:
        """One epoch, its last batch left out if it would be smaller. The trainer asks for a new one every epoch."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        self.train.resample(epoch)
        _, mixed = np.random.SeedSequence((self.seed, epoch)).generate_state(2)
        generator = torch.Generator().manual_seed(int(mixed))
        batches = torch.randperm(len(self.train), generator=generator).split(self.batch_size)
        return self._loader(self.train, batches[: len(self.train) // self.batch_size])

    def val_dataloader(self) -> DataLoader[Sequence]:
        return self._loader(self.valid, torch.arange(len(self.valid)).split(self.batch_size))

    def test_dataloader(self) -> DataLoader[Sequence]:
        return self._loader(self.test, torch.arange(len(self.test)).split(self.batch_size))

    def _loader(self, dataset: OccludedMovingDigits, batches: Batches[Tensor]) -> DataLoader[Sequence]:
        """Loads this process's part of every batch, made in one go."""
        rank, count = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        parts = [part for batch in batches if len(part := batch[rank::count])]
        return DataLoader(dataset, batch_size=None, sampler=parts)


class MovingDigitsTask(LightningModule):
    """An RLadder that classifies after the last frame and predicts each frame from those before.

    cost = cross entropy + prediction_weight * mean over frames of the sum over pixels of the squared error

    Adam, its learning rate falling in a line to 0 over the run.

    Args:
        network: the levels, "small" or "table5" of `fastladder.models`.
        widths: arguments of "small": low, high, units.
        frame_size: height and width of a frame.
        frames: in a sequence.
        alignment: as in `fastladder.models.RLadder`.
        init: as there.
        feedback: as there.
        decoder: as there.
        predict: as there; False also leaves out its cost.
        classify: as there; False also leaves out its cost.
        prediction_weight: of the prediction in the cost.
        learning_rate: at the start.
    """

    def __init__(
        self,
        network: Literal["small", "table5"] = "small",
        widths: dict[str, int] | None = None,
        frame_size: int = SMALL.frame_size,
        frames: int = SMALL.frames,
        alignment: Literal["inverse", "same"] = "inverse",
        init: Literal["default", "ladder"] = "default",
        feedback: bool = True,
        decoder: bool = True,
        predict: bool = True,
        classify: bool = True,
        prediction_weight: float = 1.0,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__()
        if not 0 < learning_rate < float("inf"):
            raise ValueError(f"learning_rate: got {learning_rate}, needs a number above 0")
        if not 0 <= prediction_weight < float("inf"):
            raise ValueError(f"prediction_weight: got {prediction_weight}, needs 0 or more")
        self.prediction_weight, self.learning_rate = prediction_weight, learning_rate
        self.network = RLadder(
            NETWORKS[network](**widths or {}),
            (1, frame_size, frame_size),
            steps=frames,
            alignment=alignment,
            init=init,
            feedback=feedback,
            decoder=decoder,
            predict=predict,
            classify=classify,
        )

    def training_step(self, batch: Sequence, index: int) -> Tensor:
        return self._evaluate(batch, "train")["cost"]

    def validation_step(self, batch: Sequence, index: int) -> None:
        self._evaluate(batch, "valid")

    def test_step(self, batch: Sequence, index: int) -> None:
        self._evaluate(batch, "test")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.Adam(self.parameters(), self.learning_rate)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = PolynomialLR(optimizer, total_iters=steps, power=1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _evaluate(self, batch: Sequence, part: str) -> dict[str, Tensor]:
        """Costs and scores of a batch, averaged by the trainer over all batches and processes of the epoch."""
        output = self.network(batch.observed)
        scores = costs_and_scores(output.logits, output.prediction, batch, self.prediction_weight)
        if not scores["cost"].isfinite():
            where = f"step {self.global_step + 1} (epoch {self.current_epoch + 1})"
            raise NonFiniteCostError(f"{where}: the {part} cost is {scores['cost'].item()}")
        self.log_dict(
            {f"{part}/{name}": score.detach() for name, score in scores.items()},
            batch_size=len(batch.label),
            on_step=False,
            on_epoch=True,
            sync_dist=True,
        )
        return scores


def costs_and_scores(
    logits: Tensor | None, prediction: Tensor | None, batch: Sequence, prediction_weight: float
) -> dict[str, Tensor]:
    """What a network is trained and judged by on a batch of N sequences of T frames.

    Args:
        logits: (N, T, classes), or None where the network does not classify.
        prediction: (N, T, 1, H, W), at t of frame t + 1; the last has no target. None where it does not predict.
        batch: the sequences.
        prediction_weight: of the prediction in the cost.

    Returns:
        "cost", which is differentiable. With logits, after the last frame, "cross_entropy" in nats and
        "classification_error" in percent. With a prediction "next_frame_error", the mean square over all pixels of
        frames 2 to T, beside that of "predict_zero" and "copy_last", which answer an empty frame and the frame before.
    """
    scores = {}
    cost = batch.observed.new_zeros(())
    if logits is not None:
        scores["cross_entropy"] = functional.cross_entropy(logits[:, -1], batch.label)
        scores["classification_error"] = 100 * (logits[:, -1].argmax(1) != batch.label).float().mean()
        cost = cost + scores["cross_entropy"]
    if prediction is not None:
        before, target = batch.observed[:, :-1], batch.observed[:, 1:]
        scores["next_frame_error"] = functional.mse_loss(prediction[:, :-1], target)
        scores["predict_zero"] = target.square().mean()
        scores["copy_last"] = functional.mse_loss(before, target)
        pixels = target[0, 0].numel()
        cost = cost + prediction_weight * pixels * scores["next_frame_error"]
    return {"cost": cost, **scores}
