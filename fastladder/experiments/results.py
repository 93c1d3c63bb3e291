"""Results: one JSON file for each row and seed of a table, written whole or not at all."""

import json
import statistics
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration
from fastladder.experiments.files import write_json
from fastladder.experiments.tables import Outcome
from fastladder.experiments.training import differences, open_folder


@dataclass(frozen=True, kw_only=True)
class Result(Outcome):
    """What one row came to with one seed.

    Attributes:
        table, row, scale, seed: which it is.
        configuration: all that decides the numbers.
    """

    table: str
    row: str
    scale: str
    seed: int
    configuration: Configuration


def result_path(folder: Path, table: str, scale: str, row: str, seed: int) -> Path:
    """Where a result is kept."""
    return folder / table / scale / f"{row}-{seed}.json"


def read_result(path: Path) -> Result | None:
    """The result in a file, None if there is no such file.

    Raises:
        RunError: the file is damaged, as by an interrupted write, or holds something else.
    """
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = str(error).split("\n")[0]
        raise RunError(f"{path}: not a sound result ({reason}); remove it to have the row trained again") from None
    known = {field.name for field in fields(Result)}
    needed = {field.name for field in fields(Result) if field.default is MISSING}  # results from before lack the others
    if not isinstance(content, dict) or not needed <= content.keys() <= known:
        raise RunError(f"{path}: not a result of fastladder reproduce; remove it to have the row trained again")
    return Result(**content)


def write_result(path: Path, result: Result, *, overwrite: bool = False) -> None:
    """Writes a result.

    Args:
        path: of the file.
        result: what it will hold.
        overwrite: whatever is there already.

    Raises:
        RunError: the file holds a result that took more training, or one of another configuration, or it cannot be
            written; it is left alone.
    """
    if not overwrite and (there := read_result(path)) is not None:
        check_configuration(there, path, result.configuration)
        if (there.complete, there.steps) > (result.complete, result.steps):
            raise RunError(
                f"{path}: holds a result of {there.steps} steps, better informed than that of {result.steps}; "
                "--overwrite replaces it"
            )
    open_folder(path.parent, "--results")
    write_json(path, asdict(result))


def check_configuration(result: Result, path: Path, asked: dict[str, Any]) -> None:
    """Checks that a result is of the configuration that is asked for.

    Raises:
        RunError: it is not; the message names what differs.
    """
    if found := differences(result.configuration, asked):
        raise RunError(f"{path}: a result of another configuration ({found}); --overwrite replaces it")


def mean_and_deviation(values: list[float]) -> tuple[float, float | None]:
    """The mean, and the standard deviation of the sample where there are two values or more."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None
