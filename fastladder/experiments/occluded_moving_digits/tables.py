"""Tables 1 and 2 of Recurrent Ladder Networks: Occluded Moving MNIST with all labels, and with few.

A row is trained twice. The first training, on the training set, finds the schedule of the learning rate: it is halved
whenever the validation error rises. The second replays that schedule on training and validation set together; it is the
one that is evaluated (appendix D.1).
"""

import time
from typing import Any

from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.phases import Phase, minutes_until
from fastladder.experiments.tables import Attempt, Column, Configuration, Outcome, Row, Scale, Table

ERROR = Column("classification_error", "error (%)")
PREDICTION = Column("next_frame_error", "prediction error (1e-5)", factor=1e5, digits=1)

# What Mean Teacher rows add; decay and weight are decisions, the paper gives none.
TEACHER: dict[str, Any] = {"teacher_decay": 0.999, "consistency_weight": 100.0}
STATIC: Configuration = {"data": {"view": "reconstruction"}, "model": {"network": "table7", "decoder": False}}
TEMPORAL: Configuration = {"model": {"network": "table6", "decoder": False}}

PAPER_DATA = "MNIST at 14 x 14 on 32 x 32, the networks of the paper's Tables 5 to 7"
SMALL_DATA = (
    "scikit-learn's 1,797 digits of 8 x 8 on 20 x 20 in place of MNIST, with new trajectories in every epoch, which is "
    "four passes over the digits; the networks in miniature"
)
# What stands for the networks of Tables 6 and 7 there.
SMALL_STATIC, SMALL_TEMPORAL = {"network": "small_static"}, {"network": "small_temporal"}


def paper(**data: Any) -> Configuration:
    """What all rows share at the scale of the paper."""
    return {
        "data": {"source": "mnist", "batch_size": 100, "resample": False, **data},
        "model": {"network": "table5", "learning_rate": 1e-3, "schedule": "halving"},
        "trainer": {"max_epochs": 60, "gradient_clip_val": 1.0},
    }


def small(epochs: int, **data: Any) -> Configuration:
    """What all rows share where two CPU cores and an hour are all there is."""
    return {
        "data": {"source": "bundled", "batch_size": 50, "sequences_per_digit": 4, **data},
        "model": {
            "network": "small",
            "prediction_weight": 0.1,
            "learning_rate": 5e-3,
            "schedule": "halving",
            "least_learning_rate": 5e-4,
        },
        "trainer": {"max_epochs": epochs, "gradient_clip_val": 1.0},
    }


def search_and_replay(attempt: Attempt) -> Outcome:
    """Finds the schedule on the training set, replays it on training and validation set, and evaluates.

    A search that is cut off is itself evaluated, by its best checkpoint.
    """
    end = None if attempt.minutes is None else time.monotonic() + 60 * attempt.minutes
    search = Phase(attempt, MOVING_DIGITS, attempt.configuration, attempt.folder / "search")
    # The replay takes as long as the search, so the search gets half of the time.
    if not search.train(None if attempt.minutes is None else attempt.minutes / 2):
        return search.outcome(complete=False)
    rates = [epoch["learning_rate"] for epoch in search.folder.history()]
    sections = attempt.configuration
    configuration = {
        **sections,
        "data": {**sections["data"], "join_validation": True},
        "model": {**sections["model"], "schedule": rates},
        "trainer": {**sections["trainer"], "max_epochs": len(rates)},
    }
    replay = Phase(attempt, MOVING_DIGITS, configuration, attempt.folder / "replay")
    complete = replay.train(minutes_until(end), validate=False)
    return replay.outcome(complete=complete, before=[search])


TABLE1 = Table(
    name="rladder-table1",
    title="Occluded Moving MNIST (Recurrent Ladder Networks, Table 1)",
    columns=(ERROR, PREDICTION),
    rows=(
        Row("static", "Optimal reconstruction and static classifier", STATIC),
        Row("temporal", "Temporal baseline", TEMPORAL),
        Row("hierarchical", "Hierarchical RNN (encoder only)", {"model": {"decoder": False}}),
        Row("no-prediction", "RLadder w/o prediction task", {"model": {"predict": False}}),
        Row("no-feedback", "RLadder w/o decoder-to-encoder conn.", {"model": {"feedback": False}}),
        Row("no-classification", "RLadder w/o classification task", {"model": {"classify": False}}),
        Row("rladder", "RLadder", {}),
    ),
    scales={
        "paper": Scale(f"{PAPER_DATA}.", paper()),
        "small": Scale(
            f"{SMALL_DATA}; at most 15 epochs.",
            small(15),
            {"static": {"model": SMALL_STATIC}, "temporal": {"model": SMALL_TEMPORAL}},
        ),
    },
    experiment=MOVING_DIGITS,
    attempt=search_and_replay,
)

ALL = {"unlabelled": True}
# An epoch that shows the unlabelled digits too has twice the steps, since only half of a batch passes over them.
SHORT = {"trainer": {"max_epochs": 8}}
# A teacher that averages over 1,000 steps would still be at the start when the small training ends.
SMALL_TEACHER = {"teacher_decay": 0.99, "consistency_weight": 10.0}

TABLE2 = Table(
    name="rladder-table2",
    title="Occluded Moving MNIST with few labels (Recurrent Ladder Networks, Table 2)",
    columns=(ERROR,),
    rows=(
        Row("static", "Optimal reconstruction and static classifier", STATIC),
        Row(
            "static-teacher",
            "Optimal reconstruction and static classifier, unlabelled too, Mean Teacher",
            {"data": {**STATIC["data"], **ALL}, "model": {**STATIC["model"], **TEACHER}},
        ),
        Row("temporal", "Temporal baseline", TEMPORAL),
        Row(
            "temporal-teacher",
            "Temporal baseline, unlabelled too, Mean Teacher",
            {"data": ALL, "model": {**TEMPORAL["model"], **TEACHER}},
        ),
        Row("rladder", "RLadder", {}),
        Row("rladder-unlabelled", "RLadder, unlabelled too", {"data": ALL}),
        Row("rladder-teacher", "RLadder, unlabelled too, Mean Teacher", {"data": ALL, "model": TEACHER}),
    ),
    scales={
        "paper": Scale(f"{PAPER_DATA}, 1,000 labels.", paper(labels=1000)),
        "small": Scale(
            f"{SMALL_DATA}; 100 labels; at most 15 epochs, or 8 longer ones where half of a batch is unlabelled.",
            small(15, labels=100),
            {
                "static": {"model": SMALL_STATIC},
                "static-teacher": {"model": {**SMALL_STATIC, **SMALL_TEACHER}, **SHORT},
                "temporal": {"model": SMALL_TEMPORAL},
                "temporal-teacher": {"model": {**SMALL_TEMPORAL, **SMALL_TEACHER}, **SHORT},
                "rladder-unlabelled": SHORT,
                "rladder-teacher": {"model": SMALL_TEACHER, **SHORT},
            },
        ),
    },
    experiment=MOVING_DIGITS,
    attempt=search_and_replay,
)
