"""Learning rates that change from epoch to epoch."""

from collections.abc import Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class HalvingSchedule(Callback):
    """Halves the learning rate whenever the validation error rises, and ends the training when it rises at the floor.

    "Every time the classification error on the validation set rose, we divided the learning rate by 2 until a minimum
    value" (Recurrent Ladder Networks, appendix D.1). To rise is to be above the epoch before, where
    `torch.optim.lr_scheduler.ReduceLROnPlateau` compares with the best so far. The paper does not say when it stops.

    Args:
        metric: the error's name among the trainer's metrics.
        least: the floor.
    """

    def __init__(self, metric: str, least: float) -> None:
        self.metric, self.least = metric, least
        self.before = float("inf")
        self.ended = False

    def state_dict(self) -> dict[str, Any]:
        return {"before": self.before, "ended": self.ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before, self.ended = state_dict["before"], state_dict["ended"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = self.ended  # of a run that is resumed although it had come to its end

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        error = trainer.callback_metrics[self.metric].item()
        rate = learning_rate(trainer)
        if error > self.before:
            if rate <= self.least:
                self.ended = trainer.should_stop = True
            set_learning_rate(trainer, max(rate / 2, self.least))
        self.before = error


class ReplayedSchedule(Callback):
    """Gives every epoch the learning rate that is recorded for it.

    Args:
        rates: of the first epoch, the second, and so on; later epochs keep the last.
    """

    def __init__(self, rates: Sequence[float]) -> None:
        if not rates or not all(0 < rate < float("inf") for rate in rates):
            raise ValueError(f"schedule: got {list(rates)}, needs numbers above 0")
        self.rates = list(rates)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        set_learning_rate(trainer, self.rates[min(trainer.current_epoch, len(self.rates) - 1)])


def schedule_by_epoch(schedule: str | Sequence[float], metric: str, least: float) -> Callback:
    """The schedule that a configuration names.

    Args:
        schedule: "halving", or the rate of every epoch.
        metric, least: of `HalvingSchedule`.
    """
    if isinstance(schedule, str):
        return HalvingSchedule(metric, least)
    return ReplayedSchedule([float(rate) for rate in schedule])


def learning_rate(trainer: Trainer) -> float:
    """The learning rate of the only optimizer."""
    return float(trainer.optimizers[0].param_groups[0]["lr"])


def set_learning_rate(trainer: Trainer, rate: float) -> None:
    """Changes the learning rate of the only optimizer."""
    for group in trainer.optimizers[0].param_groups:
        group["lr"] = rate
