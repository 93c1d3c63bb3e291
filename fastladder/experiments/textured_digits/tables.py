"""Textured digits classified with all labels and with few: Table 2 of Tagger, Table 4 of Recurrent Ladder Networks.

A row of Tagger in its Table 2 is trained twice: first without labels, then with one more level for every width that is
new and one for the classes. Both of its rows go on from the same first training. That is kept beside their runs, and
stays there when a row is trained all over. In Table 4 all networks learn to group and to classify at once.
"""

import time
from pathlib import Path
from typing import Any

from fastladder.experiments.phases import Phase, minutes_until, train_once
from fastladder.experiments.tables import Attempt, Column, Configuration, Outcome, Row, Table, read_scales
from fastladder.experiments.textured_digits.experiment import TEXTURED_DIGITS, TEXTURED_GROUPING

ITERATIONS = 5  # in the test


def train_and_evaluate(attempt: Attempt) -> Outcome:
    """Trains and evaluates a classifier."""
    if attempt.configuration["pretraining"]:
        return pretrain_and_classify(attempt)
    return train_once(attempt, TEXTURED_DIGITS)


def pretrain_and_classify(attempt: Attempt) -> Outcome:
    """Trains a Tagger without labels, where that has not been done, and goes on from it with labels.

    Where the time does not suffice for the first training, there is no error to report, only how it groups.
    """
    end = None if attempt.minutes is None else time.monotonic() + 60 * attempt.minutes
    configuration = attempt.configuration
    first = Phase(attempt, TEXTURED_GROUPING, pretraining(configuration), pretraining_folder(attempt))
    complete = first.train(attempt.minutes)
    if not complete:
        return first.outcome(complete=False)
    grouping = first.evaluate()
    second = Phase(attempt, TEXTURED_DIGITS, configuration, attempt.folder)
    learned: Any = first.task
    classifies: Any = second.task
    classifies.classifier.network.load_pretrained(learned.network.state_dict())
    complete = second.train(minutes_until(end))
    outcome = second.outcome(complete=complete, before=[first])
    outcome.test.update({name: score for name, score in grouping.items() if name.startswith("ami_")})
    return outcome


def pretraining_folder(attempt: Attempt) -> Path:
    """Where the first training of both rows of Tagger is kept."""
    return attempt.folder.parent / f"pretraining-{attempt.configuration['seed']}"


def pretraining(configuration: Configuration) -> Configuration:
    """All that decides the numbers of the first training: nothing of it is of labels."""
    section = configuration["pretraining"]
    labels = ("labels", "unlabelled")
    return {
        "seed": configuration["seed"],
        "data": {name: value for name, value in configuration["data"].items() if name not in labels},
        "model": section["model"],
        "trainer": {**configuration["trainer"], "max_epochs": section["epochs"]},
        "test": {"iterations": ITERATIONS},
    }


SYSTEMS = {"mlp": "FC MLP", "ladder": "FC Ladder", "tagger": "FC Tagger", "convnet": "ConvNet"}


def table(objects: int) -> Table:
    """Table 2 of images with one digit or two."""
    error, shown = {1: ("error (%)", "one textured digit"), 2: ("top 2 error (%)", "two textured digits")}[objects]
    rows = (
        Row(f"{name}{few}", f"{label}, {labels} labels")
        for name, label in SYSTEMS.items()
        for few, labels in (("", "all"), ("-few", "few"))
    )
    return Table(
        name=f"tagger-table2-textures{objects}",
        title=f"Classification of {shown} (Tagger, Table 2)",
        columns=(Column("classification_error", error, digits=1), Column(f"ami_{ITERATIONS}", "AMI before labels")),
        rows=tuple(rows),
        scales=read_scales(__file__, f"tagger-table2-textures{objects}"),
        experiment=TEXTURED_DIGITS,
        attempt=train_and_evaluate,
    )


TEXTURES1, TEXTURES2 = table(1), table(2)

GROUPING_AND_CLASSES = Table(
    name="rtagger-textures",
    title="Thick textured digits, by iteration (Recurrent Ladder Networks, Table 4)",
    columns=(
        *(Column(f"ami_{iteration}", f"AMI {iteration}") for iteration in (1, 2, 3)),
        *(Column(f"classification_error_{iteration}", f"error {iteration} (%)", digits=1) for iteration in (1, 2)),
        Column("classification_error", "error (%)", digits=1),
    ),
    rows=tuple(
        Row(f"{name}{few}", f"{label}, {labels} labels")
        for few, labels in (("", "all"), ("-few", "few"))
        for name, label in {"rtagger": "RTagger", "tagger": "Tagger", "convnet": "ConvNet"}.items()
    ),
    scales=read_scales(__file__, "rtagger-textures"),
    experiment=TEXTURED_DIGITS,
    attempt=lambda attempt: train_once(attempt, TEXTURED_DIGITS),
)
