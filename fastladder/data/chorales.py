"""Chorales by Bach with shorter time steps than the collection `jsb` has, from the music21 that the user has installed.

In `jsb` a time step is a quarter note. Whether a published likelihood is of quarter or of eighth notes can be told by
that of the same chorales with both. The corpus of music21 (https://www.music21.org) has most of them; it is read at run
time, as it is not ours to hand on.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastladder.data.idx import DataError
from fastladder.data.midi import check_frame
from fastladder.data.piano_rolls import KEYS, LOWEST, PianoRolls, PianoRollSplits

ALIKE = 0.9  # the share of notes that two rolls of one chorale have in common at least
NEAR = 4  # time steps by which they may differ in length
SEMITONES = range(-23, 24)  # by which one is transposed to the other; `jsb` is an octave above what Bach wrote, or so

Notes = Sequence[tuple[float, float, int]]  # beginning and duration in quarter notes, and the MIDI number


def chorales(splits: PianoRollSplits, frame: str = "eighth") -> PianoRollSplits:
    """Those pieces of `jsb` that the corpus of music21 has too, in its notes, with time steps of the given length.

    Args:
        splits: of the collection `jsb`, whose time steps are quarter notes. Pieces keep their part, order and key.
        frame: how long a time step is to be: "quarter", "eighth" or "sixteenth".

    Raises:
        ValueError: the frame is none of these.
        DataError: music21 is not installed, or it has no chorale of one of the parts.
    """
    check_frame(frame)
    return find_pieces(splits, read_corpus(), frame)


def read_corpus() -> list[Notes]:
    """The notes of all chorales of the corpus of music21.

    Raises:
        DataError: it is not installed.
    """
    try:
        from music21 import corpus
    except ImportError:
        raise DataError("chorales with other time steps come from music21: pip install music21") from None
    return [notes_of(corpus.parse(path)) for path in corpus.getComposer("bach") if "bwv" in path.name]


def notes_of(score: Any) -> Notes:
    """The notes of a score of music21."""
    return [
        (float(note.offset), float(note.quarterLength), int(pitch.midi))
        for note in score.flatten().notes
        for pitch in note.pitches
    ]


def find_pieces(splits: PianoRollSplits, corpus: Sequence[Notes], frame: str) -> PianoRollSplits:
    """The pieces of `splits`, of time steps of a quarter note, that a corpus has too, with time steps of a frame.

    Raises:
        DataError: it has none of a part.
    """
    candidates = [(notes, roll_of_notes(notes, "quarter", 0)) for notes in corpus]
    parts = []
    for name, part in splits._asdict().items():
        found = [roll for piece in part.rolls if (roll := find_piece(piece, candidates, frame)) is not None]
        if not found:
            raise DataError(f"{name}: music21 has none of the {len(part)} pieces of {part.source}")
        parts.append(PianoRolls(tuple(found), f"{part.source}, {len(found)} of {len(part)} pieces by {frame} notes"))
    return PianoRollSplits(*parts)


def find_piece(piece: Tensor, candidates: Sequence[tuple[Notes, Tensor]], frame: str) -> Tensor | None:
    """The roll of the candidate that has most notes in common with a piece, if it has enough, in the piece's key.

    Args:
        piece: (T, 88), of quarter notes.
        candidates: of each its notes and its roll of quarter notes.
        frame: of the roll that is returned.
    """
    best, found = ALIKE, None
    for notes, roll in candidates:
        if abs(len(roll) - len(piece)) > NEAR:
            continue
        # The notes that both have, for every transposition: the sums over the diagonals of (88, 88).
        steps = min(len(piece), len(roll))
        both = roll[:steps].T @ piece[:steps]
        total = roll[:steps].sum() + piece[:steps].sum()
        for semitones in SEMITONES:
            common = both.diagonal(semitones).sum()
            if (alike := (common / (total - common)).item()) > best:
                best, found = alike, (notes, semitones)
    return None if found is None else roll_of_notes(found[0], frame, found[1])


def roll_of_notes(notes: Notes, frame: str, semitones: int) -> Tensor:
    """The roll (T, 88) of notes that are transposed: a key sounds in a time step if it does at its beginning.

    Notes that a piano does not have are left out.
    """
    begins, durations, numbers = (np.array(column, float) for column in zip(*notes, strict=True))
    # What is a third of a quarter in a file may be a little less or more.
    first, last = (np.ceil(times / check_frame(frame) - 1e-6).astype(int) for times in (begins, begins + durations))
    roll = torch.zeros(int(last.max()), KEYS)
    for begin, end, key in zip(first, last, numbers.astype(int) + semitones - LOWEST, strict=True):
        if 0 <= key < KEYS:
            roll[begin:end, key] = 1
    return roll
