"""Grouping of digits by their motion as an experiment: an RTagger that learns without labels."""

from collections.abc import Callable
from typing import Any

from typing_extensions import Unpack

from fastladder.experiments.experiment import Configuration, Experiment, data_of, source_not_mnist
from fastladder.experiments.grouping.networks import OF_TRAINING
from fastladder.experiments.moving_digits.data import MotionData, motion_of
from fastladder.experiments.moving_digits.metrics import LABELS
from fastladder.experiments.moving_digits.task import MotionTask
from fastladder.models import RTagger, rtagger_moving_mnist, rtagger_small_motion
from fastladder.nn import TagOptions

NETWORKS: dict[str, Callable[..., Any]] = {"small": rtagger_small_motion, "moving_mnist": rtagger_moving_mnist}
# Two digits and the background. The mean is about that of the frames. The data needs no look at its values.
OPTIONS: TagOptions = {"groups": 3, "initial_mean": 0.1, "initial_variance": 0.03, "validate": False}


def make_network(
    frame_size: int,
    frames: int,
    network: str = "small",
    widths: dict[str, int] | None = None,
    **options: Unpack[TagOptions],
) -> RTagger:
    """The network of a section "model".

    Args:
        frame_size: height and width of a frame.
        frames: in a sequence that trains.
        network: the levels, by their name in `NETWORKS`.
        widths: arguments of these; None: their own.
        options: others of `fastladder.models.RTagger`, with the defaults of `OPTIONS` where these name them.

    Raises:
        ValueError: there is no such network.
    """
    if network not in NETWORKS:
        raise ValueError(f"network: got {network!r}, needs one of {', '.join(NETWORKS)}")
    options = {**OPTIONS, **options, "iterations": frames}
    return RTagger(NETWORKS[network](**widths or {}), (frame_size, frame_size), **options)


def make_task(configuration: Configuration) -> MotionTask:
    """The task with its initial weights."""
    data, model = configuration["data"], configuration["model"]
    motion = motion_of(**{name: data[name] for name in ("source", "objects", "frames") if name in data})
    of_network = {name: value for name, value in model.items() if name not in OF_TRAINING}
    of_training = {name: value for name, value in model.items() if name in OF_TRAINING}
    network = make_network(motion.frame_size, motion.frames, **of_network)
    return MotionTask(network, **of_training, seed=configuration["seed"])


MOTION = Experiment("moving_digits", data_of(MotionData), make_task, source_not_mnist("bundled"), labels=LABELS)
