"""The tables and JSON files of a run."""

import json
import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.operators import OperatorMeasurement
from bench.training_steps import StepMeasurement, is_ours
from fastladder import info

MIB = 2**20


def print_tables(rows: list) -> None:
    """Prints one table of operators, one of training steps, and one of each profile."""
    console = Console(width=180)
    if operators := [row for row in rows if isinstance(row, OperatorMeasurement)]:
        console.print(operator_table(operators))
    if steps := [row for row in rows if isinstance(row, StepMeasurement)]:
        console.print(step_table(steps))
    for row in rows:
        if isinstance(row, dict):
            console.print(profile_table(row))


def operator_table(rows: list[OperatorMeasurement]) -> Table:
    table = columns(
        "Operators: medians in milliseconds; share: of the bandwidth of a copy measured in the same run",
        ["operator", "shape", "dtype", "direction"],
        ["eager", "compile", "ours", "to eager", "to compile", "GB/s", "share", "saved MiB", "eager saves", ""],
    )
    for row in rows:
        table.add_row(
            row.operator,
            row.shape,
            row.dtype,
            row.direction,
            f"{row.eager:.2f}",
            f"{row.compiled:.2f}",
            f"{row.ours:.2f}",
            f"{row.eager / row.ours:.1f}x",
            f"{row.compiled / row.ours:.1f}x",
            "-" if row.bandwidth is None else f"{row.bandwidth / 1e9:.1f}",
            "-" if row.share is None else f"{row.share:.0%}",
            f"{row.saved / MIB:.2f}",
            f"{row.saved_eager / MIB:.1f}",
            row.verdict,
        )
    return table


def step_table(rows: list[StepMeasurement]) -> Table:
    """A block of rows for each measurement, one row for each variant."""
    table = columns(
        "Training steps: medians in milliseconds; how many times faster ours is",
        ["network", "input", "memory", "variant"],
        ["ms", "ours", "ours bfloat16", "saved MiB", "peak MiB", ""],
    )
    for row in rows:
        for number, (name, milliseconds) in enumerate(row.milliseconds.items()):
            peak = row.peak[name]
            table.add_row(
                *([row.network, row.input, row.memory] if number == 0 else [""] * 3),
                name,
                f"{milliseconds:.1f}",
                *(
                    f"{row.ratio(name, ours):.2f}x" if ours in row.milliseconds and not is_ours(name) else ""
                    for ours in ("ours", "ours bfloat16")
                ),
                f"{row.saved[name] / MIB:.1f}",
                "-" if peak is None else f"{peak / MIB:.1f}",
                row.verdict(name) if is_ours(name) else "",
            )
        table.add_section()
    return table


def profile_table(row: dict, count: int = 12) -> Table:
    """The most expensive operators of a profile."""
    title = f"{row['network']}, {row['input']}, {row['variant']}: {row['milliseconds']:.1f} ms"
    table = columns(title, ["operator"], ["calls", "own ms", "share"])
    for entry in row["operators"][:count]:
        calls, milliseconds = f"{entry['calls']:.0f}", f"{entry['self_milliseconds']:.2f}"
        table.add_row(entry["operator"], calls, milliseconds, f"{entry['share']:.1%}")
    return table


def columns(title: str, texts: list[str], numbers: list[str]) -> Table:
    table = Table(title=title)
    for name in texts:
        table.add_column(name)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def write_files(rows: dict[str, list], folder: Path, device: str, backend: str) -> list[Path]:
    """Writes what each file of the bench measured to a file of its name, in a folder of device and backend.

    Args:
        rows: that were reported, by the stem of the file of the bench.
        folder: the one above; both are made where they are missing.
        device: "cpu" or "cuda".
        backend: of ours.
    """
    machine = info.gpu_names()[0] if device == "cuda" else info.cpu_name()
    place = folder / re.sub(r"[^a-z0-9]+", "-", f"{machine} {backend}".lower()).strip("-")
    place.mkdir(parents=True, exist_ok=True)
    paths = []
    for stem, measured in rows.items():
        content = {
            "operators": [row.record() for row in measured if isinstance(row, OperatorMeasurement)],
            "training_steps": [row.record() for row in measured if isinstance(row, StepMeasurement)],
            "profiles": [row for row in measured if isinstance(row, dict)],
        }
        record = info.environment() | {"options": {"device": device, "backend": backend}}
        record |= {kind: entries for kind, entries in content.items() if entries}
        paths.append(place / f"{stem.removeprefix('bench_')}.json")
        paths[-1].write_text(json.dumps(record, indent=1) + "\n")
    return paths
