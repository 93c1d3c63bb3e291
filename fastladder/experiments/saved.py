"""Runs that are there: which experiment they are of, and the networks they trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch
from torch import nn

from fastladder.data.idx import DataError
from fastladder.experiments.callbacks import RECORD
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration, Data, Experiment, Task
from fastladder.experiments.registry import experiment_of_record, find_experiment
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
        with self._its_errors():
            task, data = self.experiment.build(configuration, data_dir=data_dir, download=download)
        load_weights(task, self.checkpoint, self.path)
        return task, data

    def task(self) -> Task:
        """The task with its trained weights. No data is needed.

        Raises:
            RunError: the configuration or the weights are of another version.
        """
        with self._its_errors(), torch.random.fork_rng([]):  # the initial weights are drawn for nothing
            task = self.experiment.task(self.configuration)
        load_weights(task, self.checkpoint, self.path)
        return task

    @contextmanager
    def _its_errors(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except RunError as error:
            raise RunError(f"{self.path}: {error}") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise RunError(f"{self.path}: has a configuration that this version does not take ({reason})") from None


def read_run(run: Path) -> SavedRun[Any, Any]:
    """Reads a run of any experiment; no code in it is executed.

    Args:
        run: a checkpoint, or the folder of a run, for which the checkpoint is taken that represents it.

    Raises:
        RunError: no such run exists, it is damaged, or it does not say of which experiment it is.
    """
    saved = _read(_any_checkpoint(run))
    if run.is_dir() and (path := RunFolder(run).representing(saved.experiment)) != saved.path:
        return _read(path)
    return saved


def read_run_of(experiment: Experiment[Task, Data], run: Path) -> SavedRun[Task, Data]:
    """Reads a run of one experiment.

    Raises:
        RunError: as of `read_run`, or it is of another experiment.
    """
    saved = read_run(run)
    if saved.experiment.name != experiment.name:
        raise RunError(f"{saved.path}: is of the experiment {saved.experiment.name}, needs one of {experiment.name}")
    return saved


def _read(path: Path) -> SavedRun[Any, Any]:
    checkpoint = read_checkpoint(path)
    try:
        return SavedRun(path, checkpoint, find_experiment(experiment_of_record(checkpoint[RECORD])))
    except RunError as error:
        raise RunError(f"{path}: {error}") from None


def _any_checkpoint(run: Path) -> Path:
    """A checkpoint of a run, or the one that is meant.

    Raises:
        RunError: no checkpoint exists; the message says where below the folder there are any.
    """
    if run.is_file():
        return run
    if not run.is_dir():
        raise RunError(f"{run}: no such run or checkpoint")
    folder = RunFolder(run)
    for path in (folder.best, folder.last):
        if path.is_file():
            return path
    below = sorted({str(path.parent) for path in run.glob("*/*.ckpt")})
    there = f"; there are some in {', '.join(below)}" if below else ""
    raise RunError(f"{run}: holds no checkpoint, neither best.ckpt nor last.ckpt{there}")


def load_network(run: str | Path) -> nn.Module:
    """The trained network of a run; see `fastladder.experiments.load`."""
    saved = read_run(Path(run).expanduser())
    network: nn.Module = saved.task().eval().evaluated
    return network
