"""Occluded moving digits as an experiment: a task and data of one configuration."""

from pathlib import Path

from fastladder.experiments.effects import Void
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration, Experiment, Options, source_not_mnist
from fastladder.experiments.occluded_moving_digits.data import MovingDigitsData, sequences_of
from fastladder.experiments.occluded_moving_digits.metrics import LABELS
from fastladder.experiments.occluded_moving_digits.task import MovingDigitsTask


def make_data(configuration: Configuration, *, folder: str | None, download: bool) -> MovingDigitsData:
    """The sequences."""
    data = MovingDigitsData(**configuration["data"], folder=folder, download=download, seed=configuration["seed"])
    if data.batch_size < 2:
        raise RunError(f"batch_size: got {data.batch_size}, needs 2 or more, as the networks normalise every batch")
    return data


def make_task(configuration: Configuration) -> MovingDigitsTask:
    """The task with its initial weights."""
    config, frames = sequences_of(**configuration["data"])
    return MovingDigitsTask(**configuration["model"], frame_size=config.frame_size, frames=frames)


OF_DECODER = ("feedback", "detach_feedback", "predict", "alignment", "init", "prediction_weight")
VOIDS = (
    Void(
        tuple(f"--model.{name}" for name in OF_DECODER),
        lambda options: not options.model.decoder,
        "--model.decoder true",
    ),
    Void(("--model.detach_feedback",), lambda options: not options.model.feedback, "--model.feedback true"),
    Void(("--model.prediction_weight",), lambda options: not options.model.predict, "--model.predict true"),
    Void(
        ("--model.learning_rate",),
        lambda options: isinstance(options.model.schedule, list),
        "--model.schedule linear or halving",
    ),
    Void(
        ("--model.least_learning_rate",),
        lambda options: options.model.schedule != "halving",
        "--model.schedule halving",
    ),
    Void(
        ("--model.consistency_weight",),
        lambda options: options.model.teacher_decay is None,
        "--model.teacher_decay",
    ),
)

OPTIONS = Options(
    "Trains a network on occluded moving digits.",
    MovingDigitsData,
    MovingDigitsTask,
    data_skipped=frozenset({"folder", "download", "seed"}),
    model_skipped=frozenset({"frame_size", "frames"}),
    files=Path(__file__).parent / "configs",
    voids=VOIDS,
)
MOVING_DIGITS = Experiment(
    "occluded_moving_digits",
    make_data,
    make_task,
    source_not_mnist("bundled"),
    represented_by="best",
    labels=LABELS,
    options=OPTIONS,
)
