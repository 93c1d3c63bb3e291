"""`fastladder reproduce` with all that it writes in one folder."""

import json

from fastladder.cli import main
from fastladder.experiments import load


def reproduce(place, table, *options):
    """Runs the command and answers its exit status."""
    places = [f"--results={place}/results", f"--runs={place}/runs", f"--report={place}/RESULTS.md"]
    return main(["reproduce", table, *places, *options])


def result(place, table, row):
    """The stored result of a row at small scale, of the first seed."""
    return json.loads((place / "results" / table / "small" / f"{row}-0.json").read_text())


def evaluate_and_load(run):
    """What `fastladder evaluate` finds of a run, and the network that Python gets of it."""
    assert main(["evaluate", f"--run={run}"]) == 0
    return json.loads((run / "evaluation.json").read_text())["test"], load(run)
