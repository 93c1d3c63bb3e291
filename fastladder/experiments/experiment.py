"""What an experiment is: a task and its data, both of one configuration. A run says which experiment it is of."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from lightning.pytorch import LightningDataModule, LightningModule

from fastladder.experiments.errors import RunError
from fastladder.experiments.seeding import seeded

# The experiment's name -> the module that holds it and its name there.
EXPERIMENTS = {
    "occluded_moving_digits": ("fastladder.experiments.occluded_moving_digits.experiment", "MOVING_DIGITS"),
    "few_labels": ("fastladder.experiments.few_labels.tables", "FEW_LABELS"),
    "grouping": ("fastladder.experiments.shapes.experiment", "GROUPING"),
    "textured_digits": ("fastladder.experiments.textured_digits.experiment", "TEXTURED_DIGITS"),
}

Configuration = dict[str, Any]
Task = TypeVar("Task", bound=LightningModule)
Data = TypeVar("Data", bound=LightningDataModule)


@dataclass(frozen=True)
class Experiment(Generic[Task, Data]):
    """A task and its data.

    Attributes:
        name: in the runs' records.
        data: from a configuration, and the arguments `folder` and `download` for MNIST, to the data. It answers
            `fingerprints()`: the sha256 of everything that decides it, for train, valid and test.
        task: from a configuration to the task, with initial weights from torch's own source of chance. No data is
            needed. Its attribute `evaluated` is the network that is judged.
        why_not_mnist: from a configuration to that in it by which the data is not made of MNIST; empty: it is.
        judged_by: the checkpoint that stands for a run: that of the last epoch, or of the best where there is one.
    """

    name: str
    data: Callable[..., Data]
    task: Callable[[Configuration], Task]
    why_not_mnist: Callable[[Configuration], str]
    judged_by: Literal["best", "last"] = "last"

    def build(
        self, configuration: Configuration, *, data_dir: str | None = None, download: bool = False
    ) -> tuple[Task, Data]:
        """The task with its initial weights, and its data.

        Raises:
            DataError: the data is missing or damaged.
            RunError: a value is wrong, or says where MNIST is where there is none of it; the message names it.
        """
        self.check_data_arguments(configuration, data_dir, download)
        with seeded(configuration["seed"]):
            data = self.data(configuration, folder=data_dir, download=download)
            return self.task(configuration), data

    def check_data_arguments(self, configuration: Configuration, data_dir: str | None, download: bool) -> None:
        """Checks that what says where MNIST comes from has an effect.

        Raises:
            RunError: it has none.
        """
        reason = self.why_not_mnist(configuration)
        for option, given in (("--data-dir", data_dir is not None), ("--download", download)):
            if given and reason:
                raise RunError(f"{option}: has no effect with {reason}")


def find_experiment(name: str) -> Experiment[Any, Any]:
    """The experiment of that name.

    Raises:
        RunError: there is none; the message lists those that are there.
    """
    if name not in EXPERIMENTS:
        raise RunError(f"experiment: got {name!r}, needs one of {', '.join(EXPERIMENTS)}")
    module, attribute = EXPERIMENTS[name]
    experiment: Experiment[Any, Any] = getattr(importlib.import_module(module), attribute)
    return experiment
