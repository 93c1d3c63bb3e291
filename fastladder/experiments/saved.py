"""Runs that are there: which experiment they are of, and the networks they trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch
from torch import nn

from fastladder.experiments.callbacks import RECORD
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration, Data, Experiment, Task, find_experiment
from fastladder.experiments.training import RunFolder, load_weights, read_checkpoint


@dataclass(frozen=True)
class SavedRun(Generic[Task, Data]):
    """A checkpoint and what it is of.

    Attributes:
        path: of the checkpoint.
        checkpoint: its content.
        experiment: what was trained.
    """

    path: Path
    checkpoint: dict[str, Any]
    experiment: Experiment[Task, Data]

    @property
    def configuration(self) -> Configuration:
        """All that decided its numbers."""
        configuration: Configuration = self.checkpoint[RECORD]["configuration"]
        return configuration

    @property
    def history(self) -> list[dict[str, float]]:
        """Its epochs, as in `fastladder.experiments.callbacks.RunRecord`."""
        history: list[dict[str, float]] = self.checkpoint[RECORD]["history"]
        return history

    def build(
        self, changes: Configuration | None = None, *, data_dir: str | None = None, download: bool = False
    ) -> tuple[Task, Data]:
        """The task with its trained weights, and its data.

        Args:
            changes: sections of the configuration that are to be otherwise.
            data_dir, download: where MNIST comes from.

        Raises:
            DataError: the data is missing or damaged.
            RunError: the weights are of another network, or an argument has no effect.
        """
        configuration = {**self.configuration, **(changes or {})}
        task, data = self.experiment.build(configuration, data_dir=data_dir, download=download)
        load_weights(task, self.checkpoint, self.path)
        return task, data


def read_run(path: Path) -> SavedRun[Any, Any]:
    """Reads a checkpoint of any experiment; no code in it is executed.

    Raises:
        RunError: there is none, it is damaged, or it does not say of which experiment it is.
    """
    checkpoint = read_checkpoint(path)
    if "experiment" not in checkpoint[RECORD]:
        raise RunError(f"{path}: does not say of which experiment it is, as it is from an older version; train it anew")
    try:
        return SavedRun(path, checkpoint, find_experiment(checkpoint[RECORD]["experiment"]))
    except RunError as error:
        raise RunError(f"{path}: {error}") from None


def read_run_of(experiment: Experiment[Task, Data], path: Path) -> SavedRun[Task, Data]:
    """Reads a checkpoint of one experiment.

    Raises:
        RunError: as of `read_run`, or it is of another experiment.
    """
    run = read_run(path)
    if run.experiment.name != experiment.name:
        raise RunError(f"{path}: is of the experiment {run.experiment.name}, needs one of {experiment.name}")
    return run


def find_checkpoint(run: Path) -> Path:
    """The checkpoint that stands for a run.

    Args:
        run: a checkpoint itself, or the folder of a run, of which it is the best, or the last where there is no best.

    Raises:
        RunError: there is none; the message says where below the folder there are any.
    """
    if run.is_file():
        return run
    if not run.is_dir():
        raise RunError(f"{run}: no such run or checkpoint")
    if (path := RunFolder(run).checkpoint).is_file():
        return path
    below = sorted({str(path.parent) for path in run.glob("*/*.ckpt")})
    there = f"; there are some in {', '.join(below)}" if below else ""
    raise RunError(f"{run}: holds no checkpoint, neither best.ckpt nor last.ckpt{there}")


def load(run: str | Path) -> nn.Module:
    """The trained network of a run; see `fastladder.experiments.load`."""
    saved = read_run(find_checkpoint(Path(run)))
    try:
        with torch.random.fork_rng([]):  # the initial weights are drawn for nothing
            task = saved.experiment.task(saved.configuration)
    except (TypeError, ValueError) as error:
        raise RunError(f"{saved.path}: has a configuration that this version does not take ({error})") from None
    load_weights(task, saved.checkpoint, saved.path)
    network: nn.Module = task.eval().evaluated
    return network
