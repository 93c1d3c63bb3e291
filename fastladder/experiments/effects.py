"""Options of a training that others make void. To give one on the command line is an error: it would change nothing."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import yaml
from jsonargparse import Namespace

from fastladder.experiments.errors import RunError


class Void(NamedTuple):
    """When options are void.

    Attributes:
        options: on the command line.
        without_effect: whether they are, beside all others.
        remedy: what gives them an effect.
    """

    options: tuple[str, ...]
    without_effect: Callable[[Namespace], bool]
    remedy: str


OF_TRAINER = (
    Void(
        ("--trainer.gradient_clip_algorithm",),
        lambda options: options.trainer.gradient_clip_val is None,
        "--trainer.gradient_clip_val",
    ),
)


def check_effects(options: Namespace, arguments: Sequence[str], voids: Sequence[Void]) -> None:
    """Checks that all options have an effect that were given on the command line; a file may hold any.

    Args:
        options: the values of all.
        arguments: the command line they were read from.
        voids: of the experiment; those of the trainer are checked too.

    Raises:
        RunError: one has none; the message says what would give it one.
    """
    given = given_options(arguments)
    for void in (*voids, *OF_TRAINER):
        for option in void.options:
            if option in given and void.without_effect(options):
                raise RunError(f"{option}: has no effect, needs {void.remedy}")


def given_options(arguments: Sequence[str]) -> set[str]:
    """The names of the options on a command line, also of those that came together, as in --model '{init: ladder}'."""
    given = set()
    for argument, following in pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        given.add(name)
        if name in ("--data", "--model", "--trainer"):
            content = yaml.safe_load(value if equals else following)
            given.update(f"{name}.{key}" for key in (content if isinstance(content, dict) else ()))
    return given
