"""Tables 1 and 2 of Recurrent Ladder Networks: Occluded Moving MNIST with all labels, and with few.

At the paper's scale a row is trained twice. The first training, on the training set, finds the schedule of the learning
rate: it is halved whenever the validation error rises. The second replays that schedule on training and validation set
together; it is the one that is evaluated (appendix D.1). At the other scales the learning rate falls linearly, alike
for all rows, and a row is trained once.
"""

from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.phases import search_and_replay, train_once
from fastladder.experiments.tables import Attempt, Column, Outcome, Row, Table, read_scales

ERROR = Column("classification_error", "error (%)")
PREDICTION = Column("next_frame_error", "prediction error (1e-5)", factor=1e5, digits=1)


def train_by_schedule(attempt: Attempt) -> Outcome:
    """Trains as the schedule of the configuration asks for, and evaluates."""
    if attempt.configuration["model"]["schedule"] == "halving":
        return search_and_replay(attempt, MOVING_DIGITS)
    return train_once(attempt, MOVING_DIGITS)


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
