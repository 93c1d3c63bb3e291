"""The options and fixtures of the bench, and the order in which it runs."""

from itertools import chain
from pathlib import Path

import pytest

from bench.memory import keep_memory
from bench.report import print_tables, write_files

ROWS = pytest.StashKey[dict[str, list]]()  # what was measured, by the stem of the file of the bench


def pytest_addoption(parser):
    parser.addoption(
        "--results", default=None, type=Path, help="folder for the JSON files; none are written without it"
    )


def pytest_configure(config):
    config.stash[ROWS] = {}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Runs what needs kept memory last, as the process cannot go back."""
    items.sort(key=keeps_memory)


def keeps_memory(item):
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return "kept_memory" in item.fixturenames or parameters.get("memory") == "kept"


def chosen_backend(config):
    return config.getoption("--backend") or "auto"


@pytest.fixture(scope="session")
def backend(request):
    return chosen_backend(request.config)


@pytest.fixture
def report(request):
    return request.config.stash[ROWS].setdefault(request.path.stem, []).append


@pytest.fixture
def kept_memory():
    keep_memory()


@pytest.fixture
def memory(request, device):
    """How the process holds memory: "user", as in a process of a user, or "kept" when it is freed."""
    if request.param == "kept":
        if device.type == "cuda":
            pytest.skip("torch keeps the memory of a GPU in every process")
        request.getfixturevalue("kept_memory")
    return request.param


def pytest_terminal_summary(terminalreporter, config):
    rows = {stem: measured for stem, measured in config.stash[ROWS].items() if measured}
    if not rows:
        return
    print_tables(list(chain.from_iterable(rows.values())))
    if folder := config.getoption("--results"):
        for path in write_files(rows, folder, config.getoption("--device"), chosen_backend(config)):
            terminalreporter.write_line(f"written to {path}")
