"""What an experiment is: a task and its data, both of one configuration. A run says which experiment it is of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from lightning.pytorch import LightningModule

from fastladder.experiments.data import BatchedData
from fastladder.experiments.effects import Void
from fastladder.experiments.errors import RunError
from fastladder.experiments.seeding import seeded

Configuration = dict[str, Any]
Task = TypeVar("Task", bound=LightningModule)
Data = TypeVar("Data", bound=BatchedData)


@dataclass(frozen=True)
class Options:
    """How `fastladder train` reads the configuration of an experiment from options and files.

    Attributes:
        description: what is trained, in a sentence.
        data, model: the classes whose arguments are the options of these sections.
        data_skipped, model_skipped: arguments that are no options.
        files: a folder of configurations that come with the package, in YAML; "demo" has the defaults.
        voids: options that others make void.
    """

    description: str
    data: type
    model: type
    data_skipped: frozenset[str]
    model_skipped: frozenset[str]
    files: Path
    voids: tuple[Void, ...] = ()


@dataclass(frozen=True)
class Experiment(Generic[Task, Data]):
    """A task and its data.

    Attributes:
        name: in the runs' records.
        data: from a configuration, and the arguments `folder` and `download` for files, to the data. It has
            `fingerprints()`: the sha256 of everything that decides it, for train, valid and test.
        task: from a configuration to the task, with initial weights from torch's global generator. No data is
            needed. Its attribute `evaluated` is the network that is evaluated.
        why_no_files: from a configuration to the option by which the data is made of no files of the user's; empty
            where it is made of such, of MNIST or of piano rolls.
        represented_by: the checkpoint that stands for a run: that of the last epoch, or of the best where there is one.
        downloads: whether such files can be fetched.
        labels: what scores are called in tables, first those that come first.
        options: how `fastladder train` trains it; None: only `fastladder reproduce` does.
    """

    name: str
    data: Callable[..., Data]
    task: Callable[[Configuration], Task]
    why_no_files: Callable[[Configuration], str]
    represented_by: Literal["best", "last"] = "last"
    downloads: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Options | None = None

    def build(
        self, configuration: Configuration, *, data_dir: str | None = None, download: bool = False
    ) -> tuple[Task, Data]:
        """The task with its initial weights, and its data.

        Raises:
            DataError: the data is missing or damaged.
            RunError: a value is wrong, or an option of files is given where the data is made of none; the message
                names it.
        """
        self.check_data_arguments(configuration, data_dir, download)
        with seeded(configuration["seed"]):
            data = self.data(configuration, folder=data_dir, download=download)
            return self.task(configuration), data

    def check_data_arguments(self, configuration: Configuration, data_dir: str | None, download: bool) -> None:
        """Checks that what says where files come from has an effect.

        Raises:
            RunError: it has none.
        """
        reason = self.why_no_files(configuration)
        for option, given in (("--data-dir", data_dir is not None), ("--download", download)):
            if given and reason:
                raise RunError(f"{option}: has no effect with {reason}")
        if download and not self.downloads:
            raise RunError("--download: this data cannot be fetched, --data-dir names the folder that holds it")


def data_of(make: Callable[..., Data]) -> Callable[..., Data]:
    """From what makes data of the section "data" of a configuration to `Experiment.data`."""

    def make_data(configuration: Configuration, *, folder: str | None, download: bool) -> Data:
        return make(**configuration["data"], folder=folder, download=download, seed=configuration["seed"])

    return make_data


def source_not_mnist(default: str) -> Callable[[Configuration], str]:
    """`Experiment.why_no_files` of data that is made of MNIST or not by its "source", with the default."""

    def why_no_files(configuration: Configuration) -> str:
        source = configuration["data"].get("source", default)
        return "" if source == "mnist" else f"data.source {source!r}, only with 'mnist'"

    return why_no_files
