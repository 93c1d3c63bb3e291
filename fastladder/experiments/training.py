"""Training and evaluation with Lightning: run folders, checkpoints, loggers, and what a resumed run must agree on."""

import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from rich.console import Console

from fastladder.experiments.callbacks import (
    RECORD,
    BestCheckpoint,
    Deadline,
    LastCheckpoint,
    LeaveProcessGroup,
    RunRecord,
    TrainingProgress,
)
from fastladder.experiments.checkpoints import WholeCheckpoints
from fastladder.experiments.data import BatchedData
from fastladder.experiments.errors import NonFiniteCostError, RunError
from fastladder.experiments.experiment import Experiment
from fastladder.experiments.files import DISK, WriteError, write
from fastladder.experiments.yaml_files import dump_yaml

# What a resumed run may have otherwise: where it runs, and what runs from before have although it had no effect. All
# else decides the numbers.
PLACE = ("accelerator", "devices", "num_nodes", "strategy", "log_every_n_steps")

# Lightning's warnings that are of no use here.
SILENCED = (
    ".*does not have many workers.*",  # frames are made a batch at a time, in no time
    ".*is smaller than the logging interval.*",  # metrics are logged once an epoch
    "Checkpoint directory .* exists and is not empty.*",  # checked already
    ".*treespec.* is deprecated.*",  # Lightning's own use of torch
)


class RunFolder:
    """The folder of one run: config.yaml, last.ckpt, best.ckpt, and below logs/ what the loggers write."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.last = self.path / "last.ckpt"
        self.best = self.path / "best.ckpt"
        self.configuration = self.path / "config.yaml"

    def representing(self, experiment: Experiment[Any, Any]) -> Path:
        """The checkpoint that stands for the run: by it the run is evaluated, drawn and loaded."""
        return self.best if experiment.represented_by == "best" and self.best.exists() else self.last

    def open(self) -> None:
        """Makes the folder.

        Raises:
            RunError: nothing can be written there.
        """
        open_folder(self.path, "--run")

    def refuses(self, error: OSError) -> bool:
        """Whether an error is that something cannot be written there."""
        place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else Path()
        return error.errno in DISK or self.path.absolute() in place.absolute().parents

    def history(self) -> list[dict[str, float]]:
        """The epochs up to the last checkpoint, as in `RunRecord`."""
        return read_checkpoint(self.last)[RECORD]["history"]


def open_folder(path: Path, option: str) -> None:
    """Makes a folder that an option names.

    Raises:
        RunError: nothing can be written there; the message names the option.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror}), name another folder with {option}") from None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of a run of fastladder; no code in it is executed.

    Raises:
        RunError: no such checkpoint exists, it is damaged, or it is of something else.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such checkpoint")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its zip, pickle and storage readers happen to raise
        reason = str(error).split("\n")[0].split(". ")[0]  # what follows is advice to trust the file
        raise RunError(f"{path}: not a sound checkpoint ({type(error).__name__}: {reason})") from None
    record = checkpoint.get(RECORD) if isinstance(checkpoint, dict) and "state_dict" in checkpoint else None
    if not isinstance(record, dict) or not {"configuration", "history"} <= record.keys():
        raise RunError(f"{path}: not a checkpoint of a fastladder run")
    return checkpoint


def load_weights(task: LightningModule, checkpoint: dict[str, Any], path: Path) -> None:
    """Gives a task the weights of a checkpoint that `read_checkpoint` read from a path.

    Raises:
        RunError: they are of another network, as when another version of fastladder wrote the checkpoint.
    """
    try:
        task.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        first = str(error).split("\n")[1].strip()[:200]
        raise RunError(
            f"{path}: holds the weights of another network than is built from its configuration ({first})"
        ) from None


def check_same_configuration(checkpoint: dict[str, Any], path: Path, asked: dict[str, Any]) -> None:
    """Checks that a run can go on from a checkpoint to the numbers of an unbroken one.

    Raises:
        RunError: the checkpoint is of another configuration; the message names what differs.
    """
    if found := differences(checkpoint[RECORD]["configuration"], asked):
        raise RunError(f"{path}: a checkpoint of another configuration ({found})")


def differences(there: dict[str, Any], asked: dict[str, Any]) -> str:
    """In which keys two configurations differ that decide the numbers; empty where they do not."""
    saved, wanted = _decisive(there), _decisive(asked)
    return "; ".join(
        f"{key} {saved.get(key)!r} there, {wanted.get(key)!r} asked"
        for key in sorted(saved.keys() | wanted.keys())
        if saved.get(key) != wanted.get(key)
    )


def _decisive(configuration: dict[str, Any]) -> dict[str, Any]:
    """The configuration without what may differ, flat."""
    flat: dict[str, Any] = {}
    for section, value in configuration.items():
        entries = value.items() if isinstance(value, dict) else [("", value)]
        flat.update({f"{section}.{name}".rstrip("."): entry for name, entry in entries})
    return {key: value for key, value in flat.items() if key not in {f"trainer.{name}" for name in PLACE}}


def train(
    task: LightningModule,
    data: BatchedData,
    record: RunRecord,
    folder: RunFolder,
    *,
    resume: bool = False,
    validate: bool = True,
    minutes: float | None = None,
    console: Console,
) -> bool:
    """Trains until the configured number of epochs, from the start or from the folder's last checkpoint.

    Args:
        task: what is trained. It logs "valid/cost", by which the best checkpoint is chosen.
        data: what it is trained on. Its caveat is printed.
        record: its configuration's section "trainer" goes to `lightning.pytorch.Trainer`.
        folder: where the run is kept.
        resume: go on from the last checkpoint, to the same numbers as an unbroken run on the same machine.
        validate: whether there is a validation after every epoch. Without it there is no best checkpoint.
        minutes: stop after the first epoch that ends later than this, counting from now.
        console: where progress is shown.

    Returns:
        Whether the training came to its end: it did not run out of time.

    Raises:
        RunError: an option is wrong, the folder cannot be written, or its checkpoint cannot be resumed from; then
            nothing was written. Or the disk is full; the message then names the last good checkpoint.
        NonFiniteCostError: the cost became NaN or infinite; the message names the step and the last good checkpoint.
        KeyboardInterrupt: the training was interrupted; the last checkpoint is that of the last finished epoch.
    """
    if minutes is not None and not minutes > 0:
        raise RunError(f"minutes: got {minutes}, needs a number above 0")
    options = record.configuration["trainer"]
    epochs = options["max_epochs"]
    if epochs is None or epochs < 1:
        raise RunError(f"trainer.max_epochs: got {epochs}, needs 1 or more: the learning rate falls over that many")
    if resume:
        checkpoint = read_checkpoint(folder.last)
        check_same_configuration(checkpoint, folder.last, record.configuration)
        load_weights(task, checkpoint, folder.last)
    callbacks: list[Callback] = [record, TrainingProgress(console), LastCheckpoint(folder.last)]
    if validate:
        callbacks.insert(2, BestCheckpoint(folder.best, record))
    else:
        options = {**options, "limit_val_batches": 0}
    deadline = Deadline(float("inf") if minutes is None else minutes)
    csv = CSVLogger(folder.path, "logs")  # a resumed run opens a new version below logs/
    trainer = make_trainer(
        options,
        callbacks=[deadline, *callbacks],
        logger=[csv, TensorBoardLogger(folder.path, "logs", version=csv.version)],
        default_root_dir=folder.path,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )
    folder.open()
    if trainer.is_global_zero:
        described = {"experiment": record.experiment, **record.configuration}
        write(folder.configuration, dump_yaml(described))
        if data.caveat:
            console.print(data.caveat, highlight=False, soft_wrap=True)
    try:
        with interruptible(trainer), quiet_threads():
            trainer.fit(task, data, ckpt_path=folder.last if resume else None, weights_only=True)
    except NonFiniteCostError as error:
        raise NonFiniteCostError(f"{error}; the last good checkpoint is {folder.last}") from None
    except (WriteError, OSError) as error:
        if isinstance(error, OSError) and not folder.refuses(error):
            raise RuntimeError(f"the training failed: {error}") from error
        if not trainer.is_global_zero:
            sys.exit(2)  # the first process says it
        reason = error if isinstance(error, WriteError) else f"{error.filename or folder.path}: {error.strerror}"
        good = f"the last good checkpoint is {folder.last}" if folder.last.exists() else "there is no checkpoint"
        raise RunError(f"{reason}; {good}") from None
    if deadline.passed and trainer.is_global_zero:
        done = f"{trainer.current_epoch} of {epochs} epochs are done after {minutes:g} minutes"
        console.print(f"{done}; the run can be resumed", highlight=False, soft_wrap=True)
    return not deadline.passed


def evaluate(task: LightningModule, data: BatchedData, options: dict[str, Any]) -> dict[str, float]:
    """The task's metrics on the test sequences.

    Args:
        task: with the weights to evaluate.
        data: holds the test sequences.
        options: for `lightning.pytorch.Trainer`.

    Raises:
        KeyboardInterrupt: the evaluation was interrupted.
    """
    trainer = make_trainer(options, logger=False)
    with interruptible(trainer):
        (scores,) = trainer.test(task, data, verbose=False)
    return {name.removeprefix("test/"): value for name, value in scores.items()}


@contextmanager
def interruptible(trainer: Trainer) -> Iterator[None]:
    """Ctrl-C is KeyboardInterrupt again, where Lightning makes SystemExit of it, and what it refuses is a RunError."""
    try:
        yield
    except MisconfigurationException as error:
        raise RunError("trainer: " + " ".join(str(error).split())) from None
    except SystemExit:
        if not trainer.interrupted:
            raise
        raise KeyboardInterrupt from None


@contextmanager
def quiet_threads() -> Iterator[None]:
    """Keeps threads from printing how the disk was full: the logger whose thread it is says so in the training."""
    before = threading.excepthook
    threading.excepthook = lambda failed: None if getattr(failed.exc_value, "errno", None) in DISK else before(failed)
    try:
        yield
    finally:
        threading.excepthook = before


def make_trainer(options: dict[str, Any], *, callbacks: Sequence[Callback] = (), **more: Any) -> Trainer:
    """A Trainer that leaves the screen to us and the batches to the data module.

    Raises:
        RunError: Lightning does not take the options; the message is its own.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in SILENCED:
        warnings.filterwarnings("ignore", message=message)
    try:
        return Trainer(
            **options,
            **more,
            callbacks=[*callbacks, LeaveProcessGroup()],
            plugins=[WholeCheckpoints()],
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except (ImportError, MisconfigurationException, TypeError, ValueError) as error:
        raise RunError("trainer: " + " ".join(str(error).split())) from None
