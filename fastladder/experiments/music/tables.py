"""Polyphonic music: Table 3 of Recurrent Ladder Networks, and Table 1 of the variational recurrent networks.

A row is a system on a collection, and is trained twice. The first training, on the training set, finds by the
validation set how the learning rate falls and when to stop; the second goes that way on training and validation set
together, and is the one that is evaluated. In appendix D.2 of Recurrent Ladder Networks the rate does not fall.
"""

from collections.abc import Mapping

from fastladder.experiments.music.experiment import MUSIC
from fastladder.experiments.phases import search_and_replay
from fastladder.experiments.tables import Attempt, Column, Outcome, Row, Table, combined, read_scales

COLLECTIONS = {"piano": "Piano-midi.de", "nottingham": "Nottingham", "muse": "MuseData", "jsb": "JSB chorales"}
FRAMES = {"quarter": "quarter notes", "eighth": "eighth notes"}
NEXT_STEP = {"rladder": "RLadder", "lstm": "LSTM", "gru": "GRU"}
LATENT = {
    "vrae": "VRAE",
    "vrae-markov": "VRAE, Markov posterior",
    "vrae-shortcut": "VRAE, shortcut (not a bound)",
    "vosp": "VOSP",
    "vosp-markov": "VOSP, Markov posterior",
    "vosp-shortcut": "VOSP, shortcut (not a bound)",
    "fd-rnn": "FD-RNN",
    "rnn": "RNN",
}
COLUMNS = (Column("nll", "NLL of a step (nats)"), Column("nll_without_first", "without the first step"))


def train_and_evaluate(attempt: Attempt) -> Outcome:
    """Finds when to stop, trains on training and validation set, and evaluates."""
    return search_and_replay(attempt, MUSIC, until_best=True)


def music_table(
    name: str, title: str, columns: tuple[Column, ...], music: Mapping[str, str], systems: Mapping[str, str]
) -> Table:
    """A table with a row for every system on every collection.

    Args:
        name, title, columns: as of `Table`.
        music: of each collection what it is called.
        systems: of each what it is called. In configurations.yaml there are rows of systems, of collections and of both
            together, as "piano-lstm".
    """
    labels = {
        (collection, system): f"{called}, {system_called}"
        for collection, called in music.items()
        for system, system_called in systems.items()
    }
    parts = {f"{collection}-{system}": (system, collection, f"{collection}-{system}") for collection, system in labels}
    return Table(
        name=name,
        title=title,
        columns=columns,
        rows=tuple(Row(row, label) for row, label in zip(parts, labels.values(), strict=True)),
        scales={name: combined(scale, parts) for name, scale in read_scales(__file__, name).items()},
        experiment=MUSIC,
        attempt=train_and_evaluate,
    )


RLADDER_MUSIC = music_table(
    "rladder-music",
    "Polyphonic music (Recurrent Ladder Networks, Table 3)",
    COLUMNS,
    COLLECTIONS,
    NEXT_STEP,
)
MUSIC_FRAMES = music_table(
    "music-frames", "JSB chorales with a quarter or an eighth note for a time step", COLUMNS, FRAMES, NEXT_STEP
)
VRAE_MUSIC = music_table(
    "vrae-music",
    "Polyphonic music (Variational inference of latent state sequences, Table 1)",
    (Column("nll", "NLL of a step, or its bound (nats)"), Column("nll_importance", "by importance sampling")),
    {name: COLLECTIONS[name] for name in ("piano", "nottingham", "jsb")},
    LATENT,
)
