"""The tables of results, on the screen and as RESULTS.md."""

from pathlib import Path

from rich.table import Table as ScreenTable

from fastladder.experiments.results import Result, mean_and_deviation, read_result
from fastladder.experiments.tables import TABLES, Row, Table, find_table, paper_numbers

HEAD = """# Results

Written by `fastladder reproduce`; every number is the mean of the JSON files below `bench/results/`, which hold seed,
commit, device, versions, configuration and the hash of the data. Deviations are of the sample, over seeds.
A star marks rows that had not come to the end of their training.
"""


def results_table(table: Table, scale: str, folder: Path) -> ScreenTable:
    """A table for the screen, the paper's number beside ours."""
    screen = ScreenTable(title=table.title, title_justify="left", caption=table.scales[scale].caption)
    for index, heading in enumerate(headings(table)):
        screen.add_column(heading, justify="left" if index == 0 else "right", ratio=3 if index == 0 else None)
    for cells in lines(table, scale, folder):
        screen.add_row(*cells)
    return screen


def write_report(folder: Path, path: Path) -> None:
    """Writes RESULTS.md from all results below a folder.

    A file `comment.md` beside the results of a table and scale follows their table.
    """
    path.write_text(report(folder))


def report(folder: Path) -> str:
    """The text of RESULTS.md."""
    parts = [HEAD]
    for name in TABLES:
        table = find_table(name)
        for scale, chosen in table.scales.items():
            if not results(folder, table, scale):
                continue
            rows = [headings(table), ["---", *["---:"] * (len(headings(table)) - 1)], *lines(table, scale, folder)]
            text = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
            comment = folder / name / scale / "comment.md"
            notes = [comment.read_text().strip()] if comment.is_file() else []
            command = f"`fastladder reproduce {name} --scale {scale}`"
            parts.append(
                "\n\n".join([f"## {table.title}, {scale}", f"{command}: {chosen.caption}", text, *notes]) + "\n"
            )
    return "\n".join(parts)


def headings(table: Table) -> list[str]:
    """The heading of every column."""
    scores = [text for column in table.columns for text in (column.label, "paper")]
    return ["", *scores, "seeds", "steps", "time", "device"]


def lines(table: Table, scale: str, folder: Path) -> list[list[str]]:
    """The cells of every row of a table."""
    paper, ours = paper_numbers(table.name), results(folder, table, scale)
    return [line(row, table, ours.get(row.name, []), paper[row.name]) for row in table.rows]


def line(row: Row, table: Table, results: list[Result], paper: dict[str, tuple[float, float | None]]) -> list[str]:
    """The cells of one row."""
    star = "" if all(result.complete for result in results) else " *"
    cells = [row.label + star]
    for column in table.columns:
        values = [column.factor * result.test[column.score] for result in results if column.score in result.test]
        cells.append(number(mean_and_deviation(values), column.digits) if values else "")
        cells.append(number(paper[column.score], column.digits) if column.score in paper else "")
    if not results:
        return [*cells, "not run", "", "", ""]
    minutes = sum(result.seconds for result in results) / 60
    steps = " to ".join(f"{n:,}" for n in sorted({min(r.steps for r in results), max(r.steps for r in results)}))
    devices = sorted({str(result.environment["device"]) for result in results})
    return [*cells, str(len(results)), steps, f"{minutes:.1f} min", "; ".join(devices)]


def number(value: tuple[float, float | None], digits: int) -> str:
    """A mean, and its deviation if there is one."""
    mean, deviation = value
    return f"{mean:.{digits}f}" if deviation is None else f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def results(folder: Path, table: Table, scale: str) -> dict[str, list[Result]]:
    """All results of a table at a scale, row by row, ordered by seed."""
    found: dict[str, list[Result]] = {}
    for path in sorted((folder / table.name / scale).glob("*.json")):
        if (result := read_result(path)) is not None:
            found.setdefault(result.row, []).append(result)
    return {row: sorted(of_row, key=lambda result: result.seed) for row, of_row in found.items()}
