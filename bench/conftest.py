"""Collects the measurements of a run into a table and a JSON file."""

import json
import re
from pathlib import Path

import pytest

from bench.harness import keep_memory
from fastladder import info

MEASUREMENTS = pytest.StashKey[list]()


def pytest_addoption(parser):
    parser.addoption("--results", default=None, type=Path, help="folder for the JSON file; none is written without it")


def pytest_configure(config):
    config.stash[MEASUREMENTS] = []
    keep_memory()


def chosen_backend(config):
    return config.getoption("--backend") or "auto"


@pytest.fixture(scope="session")
def backend(request):
    return chosen_backend(request.config)


@pytest.fixture
def report(request):
    return request.config.stash[MEASUREMENTS].append


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[MEASUREMENTS]
    if not rows:
        return
    print_table(rows)
    if folder := config.getoption("--results"):
        options = {"device": config.getoption("--device"), "backend": chosen_backend(config)}
        device = info.gpu_names()[0] if options["device"] == "cuda" else info.cpu_name()
        name = re.sub(r"[^a-z0-9]+", "-", f"{device} {options['backend']}".lower()).strip("-")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"bench-{name}.json"
        record = info.environment() | {"options": options, "measurements": [row.record() for row in rows]}
        path.write_text(json.dumps(record, indent=1) + "\n")
        terminalreporter.write_line(f"written to {path}")


def print_table(rows):
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Medians in milliseconds; share: of the bandwidth of a copy measured in the same run")
    for column in ("operator", "shape", "dtype", "direction"):
        table.add_column(column)
    for column in (
        "eager",
        "compile",
        "ours",
        "to eager",
        "to compile",
        "GB/s",
        "share",
        "saved MB",
        "eager saves",
        "",
    ):
        table.add_column(column, justify="right")
    for row in rows:
        compiled = row.compiled
        table.add_row(
            row.operator,
            row.shape,
            row.dtype,
            row.direction,
            f"{row.eager:.2f}",
            "-" if compiled is None else f"{compiled:.2f}",
            f"{row.ours:.2f}",
            f"{row.eager / row.ours:.1f}x",
            "-" if compiled is None else f"{compiled / row.ours:.1f}x",
            "-" if row.bandwidth is None else f"{row.bandwidth / 1e9:.1f}",
            "-" if row.share is None else f"{row.share:.0%}",
            "-" if row.saved is None else f"{row.saved / 1e6:.2f}",
            "-" if row.saved_eager is None else f"{row.saved_eager / 1e6:.1f}",
            row.verdict,
        )
    Console(width=180).print(table)
