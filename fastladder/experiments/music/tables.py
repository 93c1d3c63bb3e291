"""Table 3 of Recurrent Ladder Networks: polyphonic music, one row for each collection and network.

A row is trained twice. The first training, on the training set, finds by the validation set how the learning rate falls
and when to stop; the second goes that way on training and validation set together, and is the one that is evaluated, as
in appendix D.2, where the learning rate does not fall.
"""

from fastladder.experiments.music.experiment import MUSIC
from fastladder.experiments.phases import search_and_replay
from fastladder.experiments.tables import Attempt, Column, Outcome, Row, Table, read_scales

COLLECTIONS = {"piano": "Piano-midi.de", "nottingham": "Nottingham", "muse": "MuseData", "jsb": "JSB chorales"}
NETWORKS = {"rladder": "RLadder", "lstm": "LSTM", "gru": "GRU"}


def train_and_evaluate(attempt: Attempt) -> Outcome:
    """Finds when to stop, trains on training and validation set, and evaluates."""
    return search_and_replay(attempt, MUSIC, until_best=True)


RLADDER_MUSIC = Table(
    name="rladder-music",
    title="Polyphonic music (Recurrent Ladder Networks, Table 3)",
    columns=(
        Column("nll", "NLL of a step (nats)"),
        Column("nll_without_first", "without the first step"),
        Column("nll_of_pieces", "mean over pieces"),
    ),
    rows=tuple(
        Row(f"{collection}-{network}", f"{title}, {system}")
        for collection, title in COLLECTIONS.items()
        for network, system in NETWORKS.items()
    ),
    scales=read_scales(__file__, "rladder-music"),
    experiment=MUSIC,
    attempt=train_and_evaluate,
)
