"""What can go wrong with a run."""

from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor


class RunError(ValueError):
    """A run that cannot be done as asked. One line says what came and the remedy."""


@contextmanager
def extra_packages(user: str) -> Iterator[None]:
    """Says of what cannot be imported how to have it installed.

    Args:
        user: what needs it.

    Raises:
        RunError: a package is absent.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == "fastladder":
            raise
        raise RunError(f"{user} needs the package {package}: pip install 'fastladder[train]'") from None


class OptionError(ArgumentTypeError, ValueError):
    """A value that an option does not take, on the command line or in a file. One line says what is needed."""


class NonFiniteCostError(ArithmeticError):
    """The cost became NaN or infinite. One line says at which step."""


def check_finite(cost: Tensor, part: str, task: Any) -> None:
    """Checks the cost of a batch.

    Args:
        cost: ().
        part: what it is of: train, valid or test.
        task: the LightningModule whose step it is.

    Raises:
        NonFiniteCostError: it is NaN or infinite.
    """
    if not cost.isfinite():
        where = f"step {task.global_step + 1} (epoch {task.current_epoch + 1})"
        raise NonFiniteCostError(f"{where}: the {part} cost is {cost.item()}")
