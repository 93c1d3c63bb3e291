"""Tables 1 and 2 of Recurrent Ladder Networks: Occluded Moving MNIST with all labels, and with few.

At the paper's scale a row is trained twice. The first training, on the training set, finds the schedule of the learning
rate: it is halved whenever the validation error rises. The second replays that schedule on training and validation set
together; it is the one that is evaluated (appendix D.1). At the other scales the learning rate falls linearly, alike
for all rows, and a row is trained once.
"""

import time

from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.phases import Phase, minutes_until, train_once
from fastladder.experiments.tables import Attempt, Column, Outcome, Row, Table, read_scales

ERROR = Column("classification_error", "error (%)")
PREDICTION = Column("next_frame_error", "prediction error (1e-5)", factor=1e5, digits=1)


def train_by_schedule(attempt: Attempt) -> Outcome:
    """Trains as the schedule of the configuration asks for, and evaluates."""
    if attempt.configuration["model"]["schedule"] == "halving":
        return search_and_replay(attempt)
    return train_once(attempt, MOVING_DIGITS)


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
        Row("static", "Optimal reconstruction and static classifier"),
        Row("temporal", "Temporal baseline"),
        Row("hierarchical", "Hierarchical RNN (encoder only)"),
        Row("no-prediction", "RLadder w/o prediction task"),
        Row("no-feedback", "RLadder w/o decoder-to-encoder conn."),
        Row("no-classification", "RLadder w/o classification task"),
        Row("rladder", "RLadder"),
    ),
    scales=read_scales(__file__, "rladder-table1"),
    experiment=MOVING_DIGITS,
    attempt=train_by_schedule,
)

TABLE2 = Table(
    name="rladder-table2",
    title="Occluded Moving MNIST with few labels (Recurrent Ladder Networks, Table 2)",
    columns=(ERROR,),
    rows=(
        Row("static", "Optimal reconstruction and static classifier"),
        Row("static-teacher", "Optimal reconstruction and static classifier, unlabelled too, Mean Teacher"),
        Row("temporal", "Temporal baseline"),
        Row("temporal-teacher", "Temporal baseline, unlabelled too, Mean Teacher"),
        Row("rladder", "RLadder"),
        Row("rladder-unlabelled", "RLadder, unlabelled too"),
        Row("rladder-teacher", "RLadder, unlabelled too, Mean Teacher"),
    ),
    scales=read_scales(__file__, "rladder-table2"),
    experiment=MOVING_DIGITS,
    attempt=train_by_schedule,
)
