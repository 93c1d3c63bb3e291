"""What happens beside the steps of a training: the record of the run, its last checkpoint and the progress bar."""

import atexit
import time
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import distributed

from fastladder.experiments.files import WriteError
from fastladder.experiments.schedules import learning_rate
from fastladder.experiments.task import Task

RECORD = "fastladder"  # where a checkpoint keeps its RunRecord


class RunRecord(Callback):
    """Puts what a run is and how it went into every checkpoint, as plain values.

    Args:
        experiment: its name, see `fastladder.experiments.experiment`.
        configuration: all that decides the numbers.
        environment: where it runs, from `fastladder.info.environment`.

    Attributes:
        history: for every epoch its number from 1, the steps so far, its learning rate at the end, every metric, and
            the examples and seconds of its training steps.
    """

    def __init__(self, experiment: str, configuration: dict[str, Any], environment: dict[str, Any]) -> None:
        self.experiment = experiment
        self.configuration = configuration
        self.environment = environment
        self.history: list[dict[str, float]] = []
        self._examples = 0
        self._started = self._seconds = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._examples = 0
        self._started = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *step: Any) -> None:
        _, batch, _ = step
        self._examples += cast(Task, pl_module).examples(batch) * trainer.world_size
        self._seconds = time.perf_counter() - self._started

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
        epoch = {
            "epoch": trainer.current_epoch + 1,
            "step": trainer.global_step,
            "learning_rate": learning_rate(trainer),
        }
        self.history.append({**epoch, **metrics, "examples": self._examples, "seconds": self._seconds})

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[RECORD] = {
            "experiment": self.experiment,
            "configuration": self.configuration,
            "environment": self.environment,
            "history": list(self.history),
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint[RECORD]["history"])


def save_checkpoint(trainer: Trainer, path: Path) -> None:
    """Writes a checkpoint, on one process for all.

    Raises:
        WriteError: it cannot be written; on all processes, where the others would wait for the one that writes.
    """
    failure: WriteError | None = None
    try:
        trainer.save_checkpoint(path)
    except WriteError as error:
        failure = error
        trainer.strategy.barrier()  # where the others are
    if (failure := trainer.strategy.broadcast(failure)) is not None:
        raise failure


class BestCheckpoint(Checkpoint):
    """Keeps one checkpoint: that of the epoch with the least cost in validation.

    Lightning's ModelCheckpoint keeps the least cost under the path of its folder, and forgets it when a run is moved;
    here it is read off the record.
    """

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path, self.record = path, record

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        *before, cost = (epoch["valid/cost"] for epoch in self.record.history)
        if all(cost < earlier for earlier in before):
            save_checkpoint(trainer, self.path)


class LastCheckpoint(Checkpoint):
    """Keeps one checkpoint: that of the start of the training, and then that of the end of every epoch.

    Lightning's ModelCheckpoint writes none at the start, to which an interrupted first epoch has to go back.

    An interrupted epoch is done again from its start, with the same trajectories in the same order, so that a resumed
    run comes to the numbers of an unbroken one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == 0:
            save_checkpoint(trainer, self.path)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        save_checkpoint(trainer, self.path)


class Deadline(Callback):
    """Ends a training after the first epoch that ends too late.

    Lightning's Timer counts the time of all runs of a training together, and does not say that it was the time.

    Args:
        minutes: from now.

    Attributes:
        passed: whether the training was cut off.
    """

    def __init__(self, minutes: float) -> None:
        self.end = time.monotonic() + 60 * minutes
        self.passed = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.passed = time.monotonic() > self.end and trainer.current_epoch + 1 < (trainer.max_epochs or 0)
        trainer.should_stop = trainer.should_stop or self.passed


class LeaveProcessGroup(Callback):
    """Ends the process group of a training on several processes while the interpreter still lives.

    Lightning does so for nccl only; a thread of gloo that outlives the interpreter can abort the process as it exits.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if distributed.is_initialized():
            atexit.register(self._leave)

    @staticmethod
    def _leave() -> None:
        if distributed.is_initialized():
            distributed.destroy_process_group()


class TrainingProgress(Callback):
    """One progress bar for the whole training, with the cost and the time left; in a file, one line for every epoch.

    Lightning's RichProgressBar begins anew with every epoch, and writes nothing to a file.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[scores]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.bar = Progress(*columns, console=console, expand=True, disable=not console.is_terminal)
        self.valid = ""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            total = int(trainer.estimated_stepping_batches)
            self.task = self.bar.add_task("training", total=total, completed=trainer.global_step, scores="")
            self.bar.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *step: Any) -> None:
        if trainer.is_global_zero and not self.bar.disable:
            outputs, _, _ = step
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            scores = f"cost {outputs['loss'].item():.3f}{self.valid}"
            self.bar.update(self.task, completed=trainer.global_step, description=epoch, scores=scores)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        name, shown = cast(Task, pl_module).progress_score or ("", "")
        score = metrics.get(f"valid/{name}")
        self.valid = "" if score is None else f", valid {shown.format(score)}"
        if self.bar.disable:
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            self.console.print(f"{epoch}: cost {metrics['train/cost']:.3f}{self.valid}", highlight=False)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.bar.stop()
