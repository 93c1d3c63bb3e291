"""Table 2 of Tagger: textured digits classified with all labels and with few.

A row of Tagger is trained twice: first without labels, then with one more level for every width that is new and one for
the classes. Both of its rows go on from the same first training. That is kept beside their runs, and stays there when a
row is trained all over.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastladder.experiments.phases import Phase, minutes_until, train_once
from fastladder.experiments.tables import Attempt, Column, Configuration, Outcome, Row, Scale, Table
from fastladder.experiments.textured_digits.experiment import TEXTURED_DIGITS, TEXTURED_GROUPING
from fastladder.models.ladder import LADDER_MLP_DENOISING

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
SEMI_SUPERVISED = ("ladder", "tagger")
Changes = Mapping[str, Mapping[str, Any]]


def ladder(widths: list[int], labels: int) -> Changes:
    """What a Ladder network changes.

    The paper does not say how it was trained. Here denoising weighs a hundredth of what it weighs where digits without
    textures are learned from so many labels: with all of it, only textures were learned.
    """
    levels = len(widths) + 2
    weights = [weight / 100 for weight in LADDER_MLP_DENOISING[labels].weights[:levels]]
    return {
        "model": {"widths": widths, "weights": weights, "noise": [0.2] * levels},
        "optimizer": {"learning_rate": 2e-3, "decay": 0.33},
    }


def tagger(
    widths: list[int],
    new: list[int],
    *,
    epochs: int,
    pretraining: Configuration,
    optimizer: Configuration,
    classification_weight: float = 0.1,
    **model: Any,
) -> Changes:
    """What a Tagger changes.

    Args:
        widths: of the first training.
        new: of the levels that are added for the second.
        epochs, pretraining: of the first training: how long it is, and options of `TaggerTask` for it alone.
        optimizer, classification_weight: of the second.
        model: options of both.
    """
    both = {"groups": 4, "likelihood": "gaussian", "initial_mean": 0.5, **model}
    first = {"widths": widths, "iterations": 3, "noise": 0.2, **pretraining, **both}
    second = {"iterations": 4, "noise": 0.18, "classification_weight": classification_weight}
    return {
        "model": {"widths": widths + new, **second, **both},
        "optimizer": optimizer,
        "pretraining": {"epochs": epochs, "model": first},
    }


def changes_of_rows(systems: Mapping[str, Changes], labels: int, few: Mapping[str, Changes]) -> dict[str, Changes]:
    """What the rows of a scale change.

    Args:
        systems: what each system changes.
        labels: how many there are in the rows with few.
        few: what systems change there instead, section by section.
    """
    changes = dict(systems)
    for name, of_system in systems.items():
        few_labels = {"data": {"labels": labels, "unlabelled": name in SEMI_SUPERVISED}}
        changes[f"{name}-few"] = {**of_system, **few_labels, **few.get(name, {})}
    return changes


def shared(objects: int, epochs: int, **data: Any) -> Configuration:
    """What the rows of a scale share."""
    return {
        "data": {"dataset": f"textures{objects}", **data},
        "model": {},
        "optimizer": {"learning_rate": 1e-3, "decay": 0.33},
        "pretraining": {},
        "trainer": {"max_epochs": epochs},
    }


def paper(objects: int) -> Scale:
    """The networks of Table 2. It does not say how MLP and ConvNet were trained either."""
    widths = [3000, 2000, 1000, 500, 250]
    of_tagger = tagger(
        widths[:3],
        widths[3:],
        epochs=150,
        pretraining={"learning_rate": 1e-3},
        optimizer={"learning_rate": 2e-4, "decay": 0.0},
        norm="batch",
    )
    systems: dict[str, Changes] = {
        "mlp": {"model": {"widths": [2000, 2000, 2000]}},
        "ladder": {**ladder(widths, 60_000), "trainer": {"max_epochs": 150}},
        "tagger": {**of_tagger, "trainer": {"max_epochs": 50}},
        "convnet": {"model": {"channels": [96, 192]}},
    }
    few = {"mlp": {"model": {"widths": [1000, 1000]}}, "ladder": ladder(widths, 1_000)}
    return Scale(
        "MNIST with textures, 50,000 images, and 1,000 labels where there are few; the networks of the paper. How the "
        "baselines are trained is decided here. The first training of FC Tagger counts in both of its rows.",
        shared(objects, 100, source="mnist"),
        changes_of_rows(systems, 1_000, few),
    )


def small(objects: int) -> Scale:
    """What two CPU cores do in an hour."""
    widths = [500, 250, 125, 60]
    # Narrow: with more units at the bottom, noise is removed without groups.
    of_tagger = tagger(
        [64, 64, 64],
        [60],
        epochs=60,
        pretraining={"learning_rate": 2e-3, "schedule": "linear"},
        optimizer={"learning_rate": 2e-3, "decay": 0.33},
        classification_weight=10.0,
        norm="layer",
        delta="gradient",
        initial_variance=0.2,
    )
    systems: dict[str, Changes] = {
        "mlp": {"model": {"widths": [500, 500, 500]}},
        "ladder": ladder(widths, 60_000),
        "tagger": {**of_tagger, "trainer": {"max_epochs": 40, "precision": "bf16-mixed"}},
        "convnet": {"model": {"channels": [24, 48]}},
    }
    few: dict[str, Changes] = {
        "mlp": {"model": {"widths": [250, 250]}},
        "ladder": ladder(widths, 1_000),
        "tagger": {"trainer": {"max_epochs": 20, "precision": "bf16-mixed"}},
    }
    return Scale(
        "scikit-learn's 1,797 digits of 8 x 8, enlarged to 20 x 20 and with textures, in place of MNIST: 20,000 images "
        "in place of 50,000, and 1,000 labels where there are few; FC Ladder with 500-250-125-60 in place of "
        "3000-2000-1000-500-250, FC Tagger with 64-64-64-60, the other networks as much smaller as FC Ladder, 20 "
        "epochs. FC Tagger has layer normalisation, the gradient as delta and a cross entropy that weighs 10 in place "
        "of 0.1; it is trained for 60 epochs without labels, which count in both of its rows, and then for 40, or 20 "
        "with few labels, with matrix products in bfloat16.",
        shared(objects, 20, source="bundled", sizes=[20_000, 1_000, 1_000]),
        changes_of_rows(systems, 1_000, few),
    )


def table(objects: int) -> Table:
    """Table 2 of images with one digit or two."""
    error, shown = {1: ("error (%)", "one textured digit"), 2: ("top 2 error (%)", "two textured digits")}[objects]
    rows = (
        Row(f"{name}{few}", f"{label}, {labels} labels", {"model": {"classifier": name}})
        for name, label in SYSTEMS.items()
        for few, labels in (("", "all"), ("-few", "few"))
    )
    return Table(
        name=f"tagger-table2-textures{objects}",
        title=f"Classification of {shown} (Tagger, Table 2)",
        columns=(Column("classification_error", error, digits=1), Column(f"ami_{ITERATIONS}", "AMI before labels")),
        rows=tuple(rows),
        scales={"paper": paper(objects), "small": small(objects)},
        experiment=TEXTURED_DIGITS,
        attempt=train_and_evaluate,
    )


TEXTURES1, TEXTURES2 = table(1), table(2)
