"""What the tasks of all experiments share: Adam, a learning rate that may fall, scores in the log, and generators."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from fastladder.experiments.errors import check_finite
from fastladder.experiments.seeding import mixed


class Task(LightningModule):
    """A network with its training. A task of its own defines the steps and `evaluated`.

    Args:
        learning_rate: of Adam, at the start.
        decay: the share of the run, at its end, over which the learning rate falls linearly to 0.

    Attributes:
        progress_score: the score of validation that the progress bar shows, and how it shows it, as a format string.

    Raises:
        ValueError: an argument is out of range; the message names it.
    """

    progress_score: tuple[str, str] | None = None

    def __init__(self, learning_rate: float, decay: float = 0.0) -> None:
        super().__init__()
        if not 0 < learning_rate < float("inf"):
            raise ValueError(f"learning_rate: got {learning_rate}, needs a number above 0")
        if not 0 <= decay <= 1:
            raise ValueError(f"decay: got {decay}, needs 0 to 1")
        self.learning_rate, self.decay = learning_rate, decay

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated."""
        raise NotImplementedError

    def examples(self, batch: Any) -> int:
        """How many examples a batch has."""
        raise NotImplementedError

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        # Fused, a step of ten million weights takes 15 ms in place of 48 on one core; Lightning does not clip gradients
        # with it.
        optimizer = torch.optim.Adam(trained, self.learning_rate, fused=not self.trainer.gradient_clip_val)
        if not self.decay:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = LambdaLR(optimizer, lambda step: min(1.0, (steps - step) / (self.decay * steps)))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def generator(self, seed: int, position: int) -> torch.Generator:
        """A generator for one epoch or one batch, on the task's device; every process has another one."""
        return torch.Generator(self.device).manual_seed(mixed(seed, position, self.global_rank))

    def report(self, part: str, scores: dict[str, Tensor], batch: Any) -> None:
        """Logs the scores of a batch, which the trainer averages over all examples and processes of the epoch.

        Args:
            part: "train", "valid" or "test".
            scores: numbers, (); of these "cost" has to be finite.
            batch: of which they are.

        Raises:
            NonFiniteCostError: the cost is NaN or infinite.
        """
        if "cost" in scores:
            check_finite(scores["cost"], part, self)
        self.log_dict(
            {f"{part}/{name}": score.detach().float() for name, score in scores.items()},
            batch_size=self.examples(batch),
            on_step=False,
            on_epoch=True,
            sync_dist=True,
        )
