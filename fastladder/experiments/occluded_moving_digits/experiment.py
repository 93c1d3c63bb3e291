"""Occluded moving digits as an experiment: a task and data of one configuration."""

from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration, Experiment
from fastladder.experiments.occluded_moving_digits.data import MovingDigitsData, sequences_of
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


def why_not_mnist(configuration: Configuration) -> str:
    """By what the sequences are not of MNIST."""
    source = configuration["data"].get("source", "bundled")
    return "" if source == "mnist" else f"data.source {source!r}, only with 'mnist'"


MOVING_DIGITS = Experiment("occluded_moving_digits", make_data, make_task, why_not_mnist, judged_by="best")
