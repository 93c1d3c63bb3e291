"""Options of a training that others make void. To give one on the command line is an error: it would change nothing."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jsonargparse import Namespace

from fastladder.experiments.errors import RunError


class Void(NamedTuple):
    """When an option is void.

    Attributes:
        option: on the command line.
        without_effect: whether it is, beside all others.
        remedy: what gives it an effect.
    """

    option: str
    without_effect: Callable[[Namespace], bool]
    remedy: str


VOIDS = (
    Void(
        "--model.feedback",
        lambda options: options.model.feedback and not options.model.decoder,
        "needs --model.decoder true",
    ),
    Void(
        "--model.predict",
        lambda options: options.model.predict and not options.model.decoder,
        "needs --model.decoder true",
    ),
    Void("--model.alignment", lambda options: not options.model.decoder, "needs --model.decoder true"),
    Void("--model.init", lambda options: not options.model.decoder, "needs --model.decoder true"),
    Void(
        "--model.prediction_weight",
        lambda options: not (options.model.decoder and options.model.predict),
        "needs --model.decoder true and --model.predict true",
    ),
    Void(
        "--model.learning_rate",
        lambda options: isinstance(options.model.schedule, list),
        "needs --model.schedule linear or halving",
    ),
    Void(
        "--model.least_learning_rate",
        lambda options: options.model.schedule != "halving",
        "needs --model.schedule halving",
    ),
    Void(
        "--model.consistency_weight",
        lambda options: options.model.teacher_decay is None,
        "needs --model.teacher_decay",
    ),
    Void(
        "--trainer.gradient_clip_algorithm",
        lambda options: options.trainer.gradient_clip_val is None,
        "needs --trainer.gradient_clip_val",
    ),
)


def check_effects(options: Namespace, arguments: Sequence[str]) -> None:
    """Checks that all options have an effect that were given one by one; a file may hold any.

    Args:
        options: the values of all.
        arguments: the command line they were read from.

    Raises:
        RunError: one has none; the message says what would give it one.
    """
    given = {argument.partition("=")[0] for argument in arguments}
    for option, without_effect, remedy in VOIDS:
        if option in given and without_effect(options):
            raise RunError(f"{option}: has no effect, {remedy}")
