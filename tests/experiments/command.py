"""`fastladder reproduce` with all that it writes in one folder."""

import json

from fastladder.cli import main
from fastladder.experiments import load
from fastladder.experiments.training import RunFolder


class Command:
    """`fastladder reproduce` of one table, at small scale."""

    def __init__(self, folder, table):
        self.folder, self.table = folder, table
        self.results, self.runs, self.report = folder / "results", folder / "runs", folder / "RESULTS.md"

    def __call__(self, *options):
        """Runs the command and returns its exit status."""
        places = [f"--results={self.results}", f"--runs={self.runs}", f"--report={self.report}"]
        return main(["reproduce", self.table, *places, *options])

    def path(self, row, seed=0):
        """Of the stored result of a row."""
        return self.results / self.table / "small" / f"{row}-{seed}.json"

    def result(self, row, seed=0):
        """The stored result of a row."""
        return json.loads(self.path(row, seed).read_text())

    def run(self, row, phase="", seed=0):
        """The folder of a run of a row."""
        return RunFolder(self.runs / self.table / "small" / f"{row}-{seed}" / phase)


def evaluate_and_load(run):
    """The scores that `fastladder evaluate` finds of a run, and the network that `load` returns."""
    assert main(["evaluate", f"--run={run}"]) == 0
    return json.loads((run / "evaluation.json").read_text())["test"], load(run)
