"""Chorales with other time steps are found in a corpus by their notes."""

import sys

import pytest
import torch

from fastladder.data import KEYS, LOWEST, DataError, PianoRolls, PianoRollSplits, chorales
from fastladder.data.chorales import find_pieces, notes_of, read_corpus, roll_of_notes


def made_up(seed, steps=24):
    """The notes of a piece in two voices: quarters, and below them halves with an eighth between."""
    generator = torch.Generator().manual_seed(seed)
    notes = []
    for step in range(steps):
        notes.append((float(step), 1.0, 60 + int(torch.randint(12, (), generator=generator))))
    for step in range(0, steps, 2):
        low = 40 + int(torch.randint(12, (), generator=generator))
        notes += [(float(step), 1.5, low), (step + 1.5, 0.5, low + 2)]
    return notes


CORPUS = [made_up(seed) for seed in range(4)]


def part(*rolls):
    return PianoRolls(rolls, "chorales")


def test_a_key_sounds_in_the_steps_at_whose_beginning_it_does():
    notes = [(0.0, 1.5, 60), (1.5, 0.5, 62), (2 / 3, 1 / 3, 64)]
    quarter, eighth, raised = (roll_of_notes(notes, *rest) for rest in (("quarter", 0), ("eighth", 0), ("eighth", 12)))
    assert quarter.shape == (2, KEYS)
    assert eighth.shape == (4, KEYS)
    assert quarter[:, 60 - LOWEST].tolist() == [1, 1]
    assert not quarter[:, [62 - LOWEST, 64 - LOWEST]].any()
    assert eighth[:, 60 - LOWEST].tolist() == [1, 1, 1, 0]
    assert eighth[:, 62 - LOWEST].tolist() == [0, 0, 0, 1]
    assert raised[:, 12:].equal(eighth[:, :-12])
    assert not roll_of_notes([(0.0, 1.0, 100)], "quarter", 12).any()  # above a piano


def test_pieces_are_found_in_their_key_and_order():
    train = part(roll_of_notes(CORPUS[2], "quarter", 5), roll_of_notes(CORPUS[0], "quarter", -3))
    others = part(roll_of_notes(CORPUS[1], "quarter", 12)[:-1])  # one step shorter
    unknown = part(roll_of_notes(made_up(9), "quarter", 0), roll_of_notes(CORPUS[3], "quarter", 0))
    found = find_pieces(PianoRollSplits(train, others, unknown), CORPUS, "eighth")
    expected = [(2, 5), (0, -3)], [(1, 12)], [(3, 0)]
    for pieces, numbers in zip(found, expected, strict=True):
        assert len(pieces) == len(numbers)
        for roll, (number, semitones) in zip(pieces.rolls, numbers, strict=True):
            assert roll.equal(roll_of_notes(CORPUS[number], "eighth", semitones))
    assert found.test.source == "chorales, 1 of 2 pieces by eighth notes"


def test_a_piece_is_known_by_most_of_its_notes():
    changed = roll_of_notes(CORPUS[0], "quarter", 0)
    changed[3] = changed[3].roll(1)
    splits = PianoRollSplits(part(changed), *[part(roll_of_notes(CORPUS[1], "quarter", 0))] * 2)
    assert find_pieces(splits, CORPUS, "quarter").train.rolls[0].equal(roll_of_notes(CORPUS[0], "quarter", 0))
    changed[:8] = changed[:8].roll(1, 1)
    with pytest.raises(DataError, match=r"train: music21 has none of the 1 pieces of chorales"):
        find_pieces(splits, CORPUS, "quarter")


def test_the_corpus_is_that_of_music21(monkeypatch):
    class Pitch:
        midi = 60

    class Chord:
        offset, quarterLength, pitches = 1.5, 0.5, (Pitch, Pitch)  # noqa: N815, the names of music21

    class Score:
        def flatten(self):
            return self

        notes = (Chord,)

    assert notes_of(Score()) == [(1.5, 0.5, 60)] * 2
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(DataError, match="come from music21: pip install music21"):
        read_corpus()


def test_an_unknown_frame_is_refused():
    pieces = part(roll_of_notes(CORPUS[0], "quarter", 0))
    with pytest.raises(ValueError, match="frame: got 'half'"):
        chorales(PianoRollSplits(pieces, pieces, pieces), "half")
