"""What `fastladder reproduce` can do: tables of the papers, declared as rows, columns and scales."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration, Experiment


@dataclass(frozen=True)
class Column:
    """One score of a table.

    Attributes:
        score: its name among the test scores.
        label: its heading.
        factor: by which the score is multiplied to come to the paper's unit.
        digits: after the point.
    """

    score: str
    label: str
    factor: float = 1.0
    digits: int = 2


@dataclass(frozen=True)
class Row:
    """One system of a table.

    Attributes:
        name: on the command line and in file names.
        label: in the table.
        run: table and row whose run it goes on with, where it only evaluates differently; None: it has its own.
        after: table and row from whose run its own goes on; None: it starts from the beginning.
    """

    name: str
    label: str
    run: tuple[str, str] | None = None
    after: tuple[str, str] | None = None


@dataclass(frozen=True)
class Scale:
    """One size at which a table is run.

    Attributes:
        caption: what the numbers come from, and at a scale that is not the paper's what is smaller.
        shared: the configuration that all rows share, section by section.
        rows: what each row changes in it, section by section; rows that are not there change nothing.
    """

    caption: str
    shared: Configuration
    rows: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)


def read_scales(module: str, table: str) -> dict[str, Scale]:
    """The scales of a table as `configurations.yaml` beside a module has them.

    Args:
        module: the path of the module, `__file__`.
        table: its name.
    """
    scales = yaml.safe_load((Path(module).parent / "configurations.yaml").read_text())[table]
    return {name: Scale(**scale) for name, scale in scales.items()}


def combined(scale: Scale, rows: Mapping[str, Sequence[str]]) -> Scale:
    """A scale with rows each of which is made of several of its own, such as a system and a collection.

    Args:
        scale: whose rows say what each part changes; a part that is not there changes nothing.
        rows: of each its parts. The changes of later ones come over those of earlier ones, section by section.
    """
    return replace(scale, rows={name: joined([scale.rows.get(part, {}) for part in rows[name]]) for name in rows})


def joined(changes: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Changes one over another, section by section, the later ones over the earlier ones."""
    sections: dict[str, dict[str, Any]] = {}
    for change in changes:
        for name, values in change.items():
            sections.setdefault(name, {}).update(values)
    return sections


@dataclass(frozen=True)
class Attempt:
    """One row to be trained with one seed.

    Attributes:
        configuration: all that decides the numbers.
        folder: where its runs are kept, and gone on with.
        minutes: how long it may take; None: as long as it takes.
        data_dir, download: where files come from.
        console: where progress is shown.
        before: where the run is kept that it goes on from; None: it starts from the beginning.
    """

    configuration: Configuration
    folder: Path
    minutes: float | None
    data_dir: str | None
    download: bool
    console: Console
    before: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt.

    Attributes:
        complete: whether the training came to its end.
        steps: of the optimizer, all phases together; by them one result is better informed than another.
        seconds: of training, all phases together.
        test: the scores on the test set.
        learning_rates: of every epoch that was evaluated.
        data: the sha256 of everything that decides the sequences, for train, valid and test.
        environment: command, commit, device and versions of the last part of the training.
        caveat: what sets the data apart from that of published results, in one line; empty for nothing.
    """

    complete: bool
    steps: int
    seconds: float
    test: dict[str, float]
    learning_rates: list[float]
    data: dict[str, str]
    environment: dict[str, Any]
    caveat: str = ""


@dataclass(frozen=True)
class Table:
    """A table of a paper.

    Attributes:
        name: on the command line.
        title: what it shows.
        columns: its scores.
        rows: its systems, in the paper's order.
        scales: by name, "paper" first and "small" last.
        experiment: of its configurations.
        attempt: trains and evaluates one row with one seed for as long as it may.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    scales: Mapping[str, Scale]
    experiment: Experiment[Any, Any]
    attempt: Callable[[Attempt], Outcome]

    def row(self, name: str) -> Row:
        """The row of that name.

        Raises:
            RunError: the table has no such row; the message lists its rows.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise RunError(f"row: got {name!r}, {self.name} has {', '.join(row.name for row in self.rows)}")

    def configuration(self, row: Row, scale: str, seed: int) -> Configuration:
        """All that decides the numbers of a row, as plain values."""
        chosen = self.scales[scale]
        changes = chosen.rows.get(row.name, {})
        sections = {name: {**values, **changes.get(name, {})} for name, values in chosen.shared.items()}
        return {"seed": seed, **sections}
