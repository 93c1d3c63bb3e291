"""Whether experiments learn the same with bfloat16 autocast as in float32: `python -m bench.precision`.

Short trainings of every experiment run with both precisions and two seeds. Their loss curves, of the validation after
each epoch, count as the same where the means over the seeds lie no further apart than the seeds do. What has been
trained is not trained again, so an interrupted call goes on.
"""

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from jsonargparse import auto_cli
from rich.console import Console

from fastladder.experiments.phases import Phase
from fastladder.experiments.registry import find_table
from fastladder.experiments.tables import Attempt
from fastladder.experiments.training import RunFolder
from fastladder.info import environment

PRECISIONS = ("32-true", "bf16-mixed")
SEEDS = (0, 1)


@dataclass(frozen=True)
class Case:
    """A row of a table, at scale "small", and what its training is cut down to."""

    table: str
    row: str
    epochs: int
    batches: int | None = None  # of an epoch; None: all
    pretraining: int | None = None  # epochs of the first training, where the row has one

    @property
    def name(self) -> str:
        return f"{self.table} {self.row}"

    def configuration(self, precision: str, seed: int) -> dict[str, Any]:
        table = find_table(self.table)
        configuration = table.configuration(table.row(self.row), "small", seed)
        changes: dict[str, Any] = {"precision": precision, "max_epochs": self.epochs}
        if self.batches is not None:
            changes["limit_train_batches"] = self.batches
        configuration["trainer"] = configuration["trainer"] | changes
        if self.pretraining is not None:
            configuration["pretraining"] = configuration["pretraining"] | {"epochs": self.pretraining}
        return configuration


CASES = [
    Case("ladder-mnist", "mlp-100", epochs=100),
    Case("ladder-mnist", "conv-100", epochs=100),
    Case("tagger-table2-textures1", "mlp", epochs=10),
    Case("tagger-table2-textures1", "ladder", epochs=10),
    Case("tagger-table2-textures1", "convnet", epochs=10),
    Case("rladder-table1", "static", epochs=15),
    Case("rladder-table1", "temporal", epochs=6),
    Case("rladder-table1", "rladder", epochs=6),
    Case("tagger-table2-textures1", "tagger", epochs=6, pretraining=10),
    Case("tagger-table1", "layer", epochs=8, batches=100),
    Case("tagger-table1", "batch", epochs=8, batches=100),
]


def compare(results: Path = Path("bench/results"), runs: Path = Path("runs/precision")) -> None:
    """Trains what is missing and writes precision.json and precision.png.

    Args:
        results: folder of the files.
        runs: folder of checkpoints and logs.
    """
    path = results / "precision.json"
    done: list[dict[str, Any]] = json.loads(path.read_text())["trainings"] if path.exists() else []
    for case in CASES:
        for seed in SEEDS:
            for precision in PRECISIONS:
                key = {"case": asdict(case), "precision": precision, "seed": seed}
                if not any(key.items() <= training.items() for training in done):
                    done.append(key | train(case, precision, seed, runs))
                    write(path, done)


def train(case: Case, precision: str, seed: int, runs: Path) -> dict[str, Any]:
    """One training: its loss curve, test scores and seconds."""
    table = find_table(case.table)
    folder = runs / case.table / precision / f"{case.row}-{seed}"  # an own parent, for a pretraining stands beside it
    attempt = Attempt(case.configuration(precision, seed), folder, None, None, False, Console())
    if case.pretraining is None:
        phase = Phase(attempt, table.experiment, attempt.configuration, folder)
        outcome = phase.outcome(complete=phase.train(None))
    else:
        outcome = table.attempt(attempt)
    history = RunFolder(folder).history()
    return {
        "costs": [epoch["valid/cost"] for epoch in history],
        "test": outcome.test,
        "seconds": outcome.seconds,
        "environment": outcome.environment,
    }


def write(path: Path, trainings: list[dict[str, Any]]) -> None:
    """Writes all trainings with the comparison of each case, and draws their curves."""
    names = list(dict.fromkeys(name_of(training) for training in trainings))
    cases = {name: [t for t in trainings if name_of(t) == name] for name in names}
    complete = {name: found for name, found in cases.items() if len(found) == len(PRECISIONS) * len(SEEDS)}
    verdicts = {name: verdict(found) for name, found in complete.items()}
    path.write_text(
        json.dumps({"cases": verdicts, "trainings": trainings, "environment": environment()}, indent=1) + "\n"
    )
    if complete:
        draw(complete, path.with_suffix(".png"))


def name_of(training: dict[str, Any]) -> str:
    return Case(**training["case"]).name


def verdict(trainings: list[dict[str, Any]]) -> dict[str, Any]:
    """How far the curves of both precisions, and of both seeds, lie apart, as means over the epochs."""
    curves = {precision: [t["costs"] for t in trainings if t["precision"] == precision] for precision in PRECISIONS}
    means = [[statistics.mean(costs) for costs in zip(*curves[precision], strict=False)] for precision in PRECISIONS]
    difference = distance(*means)
    spread = max(distance(*curves[precision]) for precision in PRECISIONS)
    seconds = {p: sum(t["seconds"] for t in trainings if t["precision"] == p) for p in PRECISIONS}
    return {
        "difference_of_precisions": difference,
        "spread_of_seeds": spread,
        "same": difference <= spread,
        "seconds": seconds,
    }


def distance(one: list[float], other: list[float]) -> float:
    """The mean distance of two curves over their common epochs, as a schedule may end a training early."""
    return statistics.mean(abs(a - b) for a, b in zip(one, other, strict=False))


def draw(cases: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draws the loss curves of every case."""
    columns = 3
    rows = -(-len(cases) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 2.8 * rows), squeeze=False, layout="constrained")
    for place in axes.flat[len(cases) :]:
        place.set_axis_off()
    for place, (name, trainings) in zip(axes.flat, cases.items(), strict=False):
        for training in trainings:
            first = training["precision"] == PRECISIONS[0]
            label = training["precision"] if training["seed"] == SEEDS[0] else None
            epochs = range(1, len(training["costs"]) + 1)
            place.plot(epochs, training["costs"], "C0-" if first else "C1--", label=label, linewidth=1)
        place.set_title(name, fontsize=9)
        place.set_xlabel("epoch")
        place.set_ylabel("validation cost")
    axes.flat[0].legend(fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    auto_cli(compare)
