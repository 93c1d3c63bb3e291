"""Polyphonic music as an experiment: a task and data of one configuration."""

from pathlib import Path

from fastladder.experiments.effects import Void
from fastladder.experiments.experiment import Configuration, Experiment, Options, data_of
from fastladder.experiments.music.data import MusicData
from fastladder.experiments.music.metrics import LABELS
from fastladder.experiments.music.task import MusicTask


def make_task(configuration: Configuration) -> MusicTask:
    """The task with its initial weights."""
    return MusicTask(**configuration["model"], seed=configuration["seed"])


def why_no_files(configuration: Configuration) -> str:
    """As `Experiment.why_no_files`: tunes are made up."""
    collection = configuration["data"].get("collection", "tunes")
    return f"data.collection {collection!r}, which a program makes up" if collection == "tunes" else ""


VOIDS = (
    Void(("--model.momentum",), lambda options: options.model.optimizer == "adam", "--model.optimizer rmsprop"),
    Void(
        ("--model.learning_rate", "--model.least_learning_rate"),
        lambda options: options.model.schedule != "halving",
        "--model.schedule halving",
    ),
    Void(
        ("--model.importance_samples",),
        lambda options: options.model.network not in ("vrae", "vosp"),
        "--model.network vrae or vosp",
    ),
)
OPTIONS = Options(
    "Trains a network on polyphonic music.",
    MusicData,
    MusicTask,
    data_skipped=frozenset({"folder", "download", "seed"}),
    model_skipped=frozenset({"seed"}),
    files=Path(__file__).parent / "configs",
    voids=VOIDS,
)
MUSIC = Experiment(
    "music",
    data_of(MusicData),
    make_task,
    why_no_files,
    represented_by="best",
    downloads=False,
    labels=LABELS,
    options=OPTIONS,
)
