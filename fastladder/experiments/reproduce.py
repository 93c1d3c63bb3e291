"""`fastladder reproduce`: trains what a paper's table lacks, evaluates it, and prints it beside the paper's numbers."""

import shutil
import sys
import time
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from fastladder.experiments.configuration import add_data_arguments, parse
from fastladder.experiments.errors import RunError
from fastladder.experiments.option_types import user_path
from fastladder.experiments.registry import TABLES, find_table
from fastladder.experiments.report import results_table, write_report
from fastladder.experiments.results import Result, check_configuration, read_result, result_path, write_result
from fastladder.experiments.tables import Attempt, Row, Table
from fastladder.experiments.training import open_folder
from fastladder.experiments.yaml_files import dump_yaml


def reproduce_command(arguments: list[str]) -> int:
    """Trains what is missing, row by row, and prints the table."""
    options = parse(make_parser(), arguments)
    table = find_table(options.table)
    if options.scale not in table.scales:
        raise RunError(f"scale: got {options.scale!r}, {table.name} has {', '.join(table.scales)}")
    if options.seeds < 1:
        raise RunError(f"seeds: got {options.seeds}, needs 1 or more")
    if options.time_budget is not None and not options.time_budget >= 0:
        raise RunError(f"time-budget: got {options.time_budget}, needs 0 or more minutes")
    if options.print_config is not None:
        configuration = table.configuration(table.row(options.print_config), options.scale, seed=0)
        print(dump_yaml(configuration), end="")
        return 0
    rows = [table.row(name) for name in options.row] if options.row else list(table.rows)
    for row in rows:
        table.experiment.check_data_arguments(
            table.configuration(row, options.scale, 0), options.data_dir, options.download
        )
    console = Console()
    open_folder(Path(options.results) / table.name / options.scale, "--results")
    open_folder(Path(options.runs) / table.name / options.scale, "--runs")
    missing = [unit for unit in units(table, rows, options) if not is_complete(table, *unit, options)]
    end = float("inf") if options.time_budget is None else time.monotonic() + 60 * options.time_budget
    for position, (row, seed) in enumerate(missing):
        minutes = (end - time.monotonic()) / 60 / (len(missing) - position)  # what is left, in equal parts
        if minutes <= 0:
            console.print(f"no time left for {len(missing) - position} of {len(missing)} runs", highlight=False)
            break
        try:
            reproduce(table, row, seed, None if options.time_budget is None else minutes, options, console)
        except KeyboardInterrupt:
            again = "starts all over" if options.overwrite else f"goes on from {run_path(table, row, seed, options)}"
            print(f"interrupted; the same command {again}", file=sys.stderr)
            return 130
    console.print(results_table(table, options.scale, Path(options.results)))
    write_report(Path(options.results), Path(options.report))
    console.print(f"results in {options.results}, report in {options.report}", highlight=False, soft_wrap=True)
    return 0


def make_parser() -> ArgumentParser:
    """The options."""
    parser = ArgumentParser(prog="fastladder reproduce", description=__doc__, exit_on_error=False)
    parser.add_argument("table", type=str, help=f"one of {', '.join(TABLES)}")
    parser.add_argument("--row", type=str, action="append", help="this row only; may be given several times")
    parser.add_argument(
        "--scale", type=str, default="small", help="paper; small, for two CPU cores in an hour; medium, in some"
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many runs of every row")
    parser.add_argument("--time-budget", type=float | None, help="minutes for all runs together, shared out evenly")
    parser.add_argument("--runs", type=user_path, default="runs/reproduce", help="folder of checkpoints and logs")
    parser.add_argument("--results", type=user_path, default="results", help="folder of the results")
    parser.add_argument("--report", type=user_path, default="RESULTS.md", help="file with the tables of all results")
    parser.add_argument("--overwrite", action="store_true", help="train all over, and replace any result")
    parser.add_argument("--print-config", type=str | None, metavar="ROW", help="print what a row is trained with, only")
    add_data_arguments(parser)
    return parser


def units(table: Table, rows: list[Row], options: Namespace) -> list[tuple[Row, int]]:
    """All rows with the first seed, then all with the second, and so on."""
    return [(row, seed) for seed in range(options.seeds) for row in rows]


def is_complete(table: Table, row: Row, seed: int, options: Namespace) -> bool:
    """Whether there is a result that more training would not change.

    Raises:
        RunError: there is one of another configuration.
    """
    path = result_path(Path(options.results), table.name, options.scale, row.name, seed)
    if options.overwrite or (result := read_result(path)) is None:
        return False
    check_configuration(result, path, table.configuration(row, options.scale, seed))
    return result.complete


def run_path(table: Table, row: Row, seed: int, options: Namespace) -> Path:
    """Where the runs of a row are kept."""
    return run_path_of(row.run or (table.name, row.name), seed, options)


def run_path_of(place: tuple[str, str], seed: int, options: Namespace) -> Path:
    """Where the runs of a row are kept that trains its own, by the names of its table and itself."""
    table, row = place
    return Path(options.runs) / table / options.scale / f"{row}-{seed}"


def reproduce(table: Table, row: Row, seed: int, minutes: float | None, options: Namespace, console: Console) -> None:
    """Trains one row with one seed, from the start or from where it was cut off, and stores its result.

    Raises:
        RunError: the row cannot be trained as asked, or its result is not stored; the message says why.
    """
    console.rule(f"{row.label}, seed {seed}", align="left")
    configuration = table.configuration(row, options.scale, seed)
    folder = run_path(table, row, seed, options)
    if options.overwrite and row.run is None:
        remove(folder)
    before = None if row.after is None else run_path_of(row.after, seed, options)
    attempt = Attempt(configuration, folder, minutes, options.data_dir, options.download, console, before)
    outcome = table.attempt(attempt)
    result = Result(
        **vars(outcome),
        table=table.name,
        row=row.name,
        scale=options.scale,
        seed=seed,
        configuration=configuration,
    )
    path = result_path(Path(options.results), table.name, options.scale, row.name, seed)
    write_result(path, result, overwrite=options.overwrite)


def remove(folder: Path) -> None:
    """Removes what was kept of a row's runs.

    Raises:
        RunError: it cannot be removed.
    """
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise RunError(f"{folder}: cannot be removed ({error.strerror})") from None
