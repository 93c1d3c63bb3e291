"""The tables of results, on the screen and as RESULTS.md."""

import os
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from rich import box
from rich.console import Group
from rich.table import Table as ScreenTable

from fastladder.experiments.claims import Claim, verdict
from fastladder.experiments.errors import RunError
from fastladder.experiments.files import WriteError, write
from fastladder.experiments.registry import FIGURES, TABLES, find_table, paper_claims, paper_numbers
from fastladder.experiments.results import Result, check_configuration, mean_and_deviation, read_result
from fastladder.experiments.tables import Row, Table

UNFINISHED = "A star marks rows that had not come to the end of their training."
PRECISIONS = {"32-true": "float32", "bf16-mixed": "bfloat16"}  # as a user says them; others have Lightning's names
AllResults = dict[str, dict[str, dict[str, list[Result]]]]  # by table, scale and row
PaperNumbers = dict[str, dict[str, tuple[float, float | None]]]  # by row and score, as of `paper_numbers`
BESIDE = 3  # scores in one table on the screen
HEAD = f"""# Results

Written by `fastladder reproduce`; every number is the mean of the JSON files below `results/`, which hold seed,
commit, device, versions, configuration and the hash of the data. Deviations are of the sample, over seeds.
{UNFINISHED}
"""
CLAIMS = """Of the two numbers the first has to be the smaller one, beyond the deviations over seeds of both together;
where a system is only said to come close to another, the second is multiplied by the factor given."""


@dataclass(frozen=True)
class Line:
    """One row of a table as text; `scores` holds our number and the paper's for every column."""

    label: str
    complete: bool
    scores: list[tuple[str, str]]
    seeds: str
    steps: str
    time: str
    precision: str
    device: str


def results_table(table: Table, scale: str, folder: Path) -> Group:
    """A table for a screen of 80 columns: the paper's numbers below ours, and below the table what all rows share.

    Scores that do not fit beside each other follow in tables of their own.
    """
    found = results(folder, table, scale)
    rows = lines(table, found)
    devices = sorted({row.device for row in rows} - {""})
    precisions = sorted({row.precision for row in rows} - {""})
    notes = ["In parentheses: the paper."] if paper_numbers(table.name) else []
    if not all(row.complete for row in rows):
        notes.append(UNFINISHED)
    if len(devices) == 1:
        notes.append(f"Device: {devices[0]}.")
    if precisions:
        notes.append(f"Precision: {', '.join(precisions)}.")
    notes += [table.scales[scale].caption, *(f"{caveat}." for caveat in caveats(found))]
    first, *rest = [slice(start, start + BESIDE) for start in range(0, len(table.columns), BESIDE)]
    screen = scores_beside(table, rows, first, title=table.title)
    for heading in ("seeds", "steps", "time"):
        screen.add_column(heading, justify="right")
    if len(devices) > 1:
        screen.add_column("device")
    for row, cells in zip(rows, score_cells(rows, first), strict=True):
        steps = row.steps.replace(" to ", " to\n")
        screen.add_row(*[*cells, row.seeds, steps, row.time, row.device][: len(screen.columns)])
    screens = [screen]
    for part in rest:
        screens.append(scores_beside(table, rows, part))
        for cells in score_cells(rows, part):
            screens[-1].add_row(*cells)
    screens[-1].caption = " ".join(notes)
    return Group(*screens)


def scores_beside(table: Table, rows: list[Line], part: slice, title: str | None = None) -> ScreenTable:
    """A table on the screen with columns for the labels and some of the scores, without its rows."""
    screen = ScreenTable(
        title=title,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    screen.add_column()
    for position in range(*part.indices(len(table.columns))):
        paper = "\n(paper)" if any(row.scores[position][1] for row in rows) else ""
        screen.add_column(f"{fill(table.columns[position].label, 12)}{paper}", justify="right", no_wrap=True)
    return screen


def score_cells(rows: list[Line], part: slice) -> list[list[str]]:
    """The cells of every row for the label and some of the scores."""
    return [
        [starred(row), *(f"{ours}\n({paper})" if paper else ours for ours, paper in row.scores[part])] for row in rows
    ]


def write_report(folder: Path, path: Path) -> None:
    """Writes RESULTS.md from all results below a folder.

    The caveats of its data follow a table, and a file `comment.md` beside the results of a table and scale.

    Raises:
        RunError: a result is damaged or of another configuration, or the report cannot be written.
    """
    text = report(folder, path.parent)
    try:
        write(path, text)
    except WriteError as error:
        raise RunError(f"{error}, name another file with --report") from None


def report(folder: Path, place: Path = Path()) -> str:
    """The text of RESULTS.md for all results and pictures below a folder, with links from where the text will be."""
    everything = all_results(folder)
    parts = [HEAD, claims_table(everything)]
    for name, of_table in everything.items():
        table = find_table(name)
        for scale, chosen in table.scales.items():
            found = of_table[scale]
            if not found:
                continue
            scores = [text for column in table.columns for text in (column.label, f"{column.label}, paper")]
            headings = ["", *scores, "seeds", "steps", "time", "precision", "device"]
            cells = [
                [
                    starred(row),
                    *(text for pair in row.scores for text in pair),
                    row.seeds,
                    row.steps,
                    row.time,
                    row.precision,
                    row.device,
                ]
                for row in lines(table, found)
            ]
            text = markdown_table(headings, cells)
            notes = [f"{caveat}." for caveat in caveats(found)]
            comment = folder / name / scale / "comment.md"
            if comment.is_file():
                notes.append(comment.read_text().strip())
            command = f"`fastladder reproduce {name} --scale {scale}`"
            parts.append(
                "\n\n".join([f"## {table.title}, {scale}", f"{command}: {chosen.caption}", text, *notes]) + "\n"
            )
    for name in FIGURES:
        picture = folder / f"{name}.png"
        if picture.is_file():
            link = Path(os.path.relpath(picture, place)).as_posix()
            parts.append(f"## {FIGURES[name].title}\n\n`fastladder figure {name}`\n\n![{name}]({link})\n")
    return "\n".join(parts)


def claims_table(everything: AllResults) -> str:
    """What the papers claim: shown, not shown or not tried.

    Each by the results at one scale, the largest that was run with more than one seed, or else the largest.
    """
    cells = []
    for name, found in everything.items():
        table, printed = find_table(name), paper_numbers(name)
        cells += [claim_cells(claim, table, found, printed) for claim in paper_claims(name)]
    if not cells:
        return ""
    text = markdown_table(["claim", "table", "ours", "paper", ""], cells)
    return f"## What the papers claim\n\n{CLAIMS}\n\n{text}\n"


def claim_cells(
    claim: Claim, table: Table, found: dict[str, dict[str, list[Result]]], printed: PaperNumbers
) -> list[str]:
    """The row of a claim.

    Args:
        claim: of the table.
        table: what it is of.
        found: the table's results by scale and row.
        printed: the paper's numbers.
    """
    sides = (claim.smaller, claim.larger)
    digits = [next(column.digits for column in table.columns if column.score == score) for _, score in sides]
    values = {scale: [scores(table, of_scale, *side) for side in sides] for scale, of_scale in found.items()}
    tried = [scale for scale in values if all(values[scale])]
    chosen = max(tried, key=lambda scale: min(map(len, values[scale])) > 1, default="")  # the first of the best
    smaller, larger = values.get(chosen, ([], []))
    ours = [number(mean_and_deviation(v), d) for v, d in zip((smaller, larger), digits, strict=True) if v]
    paper = [number(printed[row][score], d) for (row, score), d in zip(sides, digits, strict=True)]
    name = f"{table.name} {chosen}".rstrip()
    return [claim.says, name, " and ".join(ours), " and ".join(paper), verdict(claim, smaller, larger)]


def scores(table: Table, found: dict[str, list[Result]], row: str, score: str) -> list[float]:
    """A score of a row, of every seed, in the table's unit."""
    (column,) = [column for column in table.columns if column.score == score]
    return [column.factor * result.test[score] for result in found.get(row, []) if score in result.test]


def markdown_table(headings: list[str], cells: list[list[str]]) -> str:
    """The lines of a table, its first column to the left and all others to the right."""
    rows = [headings, ["---", *["---:"] * (len(headings) - 1)], *cells]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def lines(table: Table, found: dict[str, list[Result]]) -> list[Line]:
    """Every row of a table, also those that were not run."""
    paper = paper_numbers(table.name)
    return [line(row, table, found.get(row.name, []), paper.get(row.name, {})) for row in table.rows]


def line(row: Row, table: Table, results: list[Result], paper: dict[str, tuple[float, float | None]]) -> Line:
    """One row."""
    scores = []
    for column in table.columns:
        values = [column.factor * result.test[column.score] for result in results if column.score in result.test]
        ours = number(mean_and_deviation(values), column.digits) if values else ""
        scores.append((ours, number(paper[column.score], column.digits) if column.score in paper else ""))
    if not results:
        return Line(row.label, True, scores, "not run", "", "", "", "")
    steps = [result.steps for result in results]
    precisions = {result.configuration["trainer"].get("precision", "32-true") for result in results}
    return Line(
        label=row.label,
        complete=all(result.complete for result in results),
        scores=scores,
        seeds=str(len(results)),
        steps=" to ".join(f"{count:,}" for count in sorted({min(steps), max(steps)})),
        time=f"{sum(result.seconds for result in results) / 60:.1f} min",
        precision=", ".join(sorted(PRECISIONS.get(precision, precision) for precision in precisions)),
        device="; ".join(sorted({str(result.environment["device"]) for result in results})),
    )


def caveats(found: dict[str, list[Result]]) -> list[str]:
    """What sets the data of these results apart from that of published ones, each caveat once."""
    return sorted({result.caveat for of_row in found.values() for result in of_row} - {""})


def starred(row: Line) -> str:
    """The label, with a star where the training had not come to its end."""
    return row.label if row.complete else f"{row.label} *"


def number(value: tuple[float, float | None], digits: int) -> str:
    """A mean, and its deviation if there is one."""
    mean, deviation = value
    return f"{mean:.{digits}f}" if deviation is None else f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def all_results(folder: Path) -> AllResults:
    """All results below a folder.

    Raises:
        RunError: a result is damaged, or of another configuration than the row has.
    """
    return {
        name: {scale: results(folder, table, scale) for scale in table.scales}
        for name, table in ((name, find_table(name)) for name in TABLES)
    }


def results(folder: Path, table: Table, scale: str) -> dict[str, list[Result]]:
    """All results of a table at a scale, row by row, ordered by seed.

    Raises:
        RunError: a result is damaged, or of another configuration than the row has.
    """
    found: dict[str, list[Result]] = {}
    for path in sorted((folder / table.name / scale).glob("*.json")):
        if (result := read_result(path)) is not None:
            check_configuration(result, path, table.configuration(table.row(result.row), scale, result.seed))
            found.setdefault(result.row, []).append(result)
    return {row: sorted(of_row, key=lambda result: result.seed) for row, of_row in found.items()}
