"""One training of an attempt, and its evaluation."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastladder.experiments.callbacks import RunRecord
from fastladder.experiments.experiment import Configuration, Experiment
from fastladder.experiments.tables import Attempt, Outcome
from fastladder.experiments.training import RunFolder, evaluate, load_weights, read_checkpoint, train
from fastladder.info import environment


class Phase:
    """A training that an attempt consists of, or one of several.

    Args:
        attempt: what it is part of.
        experiment: its task and data.
        configuration: all that decides its numbers. A section "test" decides nothing in the training, so that runs with
            different ones are the same run.
        folder: where its run is kept, and gone on with.
    """

    def __init__(
        self, attempt: Attempt, experiment: Experiment[Any, Any], configuration: Configuration, folder: Path
    ) -> None:
        self.attempt, self.experiment, self.folder = attempt, experiment, RunFolder(folder)
        self.configuration = {name: section for name, section in configuration.items() if name != "test"}
        self.task, self.data = experiment.build(configuration, data_dir=attempt.data_dir, download=attempt.download)

    def train(self, minutes: float | None, *, validate: bool = True) -> bool:
        """Trains, from the start or from where it was cut off. Returns whether it came to its end."""
        self.attempt.console.print(f"{self.folder.path.name}:", highlight=False)
        return train(
            self.task,
            self.data,
            RunRecord(self.experiment.name, self.configuration, environment(self.configuration["seed"])),
            self.folder,
            resume=self.folder.last.exists(),
            validate=validate,
            minutes=minutes,
            console=self.attempt.console,
        )

    def evaluate(self) -> dict[str, float]:
        """The scores on the test set with the weights as they are."""
        return evaluate(self.task, self.data, self.configuration["trainer"])

    def outcome(self, *, complete: bool, before: Sequence["Phase"] = ()) -> Outcome:
        """Evaluates the checkpoint that stands for the run on the test set.

        Args:
            complete: whether the attempt came to its end.
            before: the phases that led to this one; their steps and seconds count too.
        """
        path = self.folder.representing(self.experiment)
        load_weights(self.task, read_checkpoint(path), path)
        scores = self.evaluate()
        histories = [phase.folder.history() for phase in (*before, self)]
        return Outcome(
            complete=complete,
            steps=sum(int(history[-1]["step"]) for history in histories),
            seconds=sum(epoch["seconds"] for history in histories for epoch in history),
            test=scores,
            learning_rates=[epoch["learning_rate"] for epoch in histories[-1]],
            data=self.data.fingerprints(),
            environment=environment(self.configuration["seed"]),
            caveat=self.data.caveat,
        )


def train_once(attempt: Attempt, experiment: Experiment[Any, Any]) -> Outcome:
    """Trains for as long as the attempt may, and evaluates."""
    phase = Phase(attempt, experiment, attempt.configuration, attempt.folder)
    complete = phase.train(attempt.minutes)
    return phase.outcome(complete=complete)


def search_and_replay(attempt: Attempt, experiment: Experiment[Any, Any], *, until_best: bool = False) -> Outcome:
    """Finds the learning rates on the training set, replays them on training and validation set, and evaluates.

    A search that is cut off is itself evaluated, by its best checkpoint.

    Args:
        attempt: whose configuration has a schedule of the learning rate that depends on the validation.
        experiment: its task and data.
        until_best: whether the replay ends with the epoch whose cost in validation was the least; else it has all.
    """
    end = None if attempt.minutes is None else time.monotonic() + 60 * attempt.minutes
    search = Phase(attempt, experiment, attempt.configuration, attempt.folder / "search")
    # The replay takes as long as the search, so the search gets half of the time.
    if not search.train(None if attempt.minutes is None else attempt.minutes / 2):
        return search.outcome(complete=False)
    history = search.folder.history()
    if until_best:
        best = min(history, key=lambda epoch: epoch["valid/cost"])
        history = history[: int(best["epoch"])]
    rates = [epoch["learning_rate"] for epoch in history]
    sections = attempt.configuration
    configuration = {
        **sections,
        "data": {**sections["data"], "join_validation": True},
        "model": {**sections["model"], "schedule": rates},
        "trainer": {**sections["trainer"], "max_epochs": len(rates)},
    }
    replay = Phase(attempt, experiment, configuration, attempt.folder / "replay")
    complete = replay.train(minutes_until(end), validate=False)
    return replay.outcome(complete=complete, before=[search])


def minutes_until(end: float | None) -> float | None:
    """How many minutes are left until a moment of `time.monotonic`, a little more than none; None: no end."""
    return None if end is None else max(1e-6, (end - time.monotonic()) / 60)
