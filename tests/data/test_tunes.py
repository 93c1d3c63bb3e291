"""Made-up tunes are music in C major, and the same ones for the same seed."""

import pytest
import torch

from fastladder.data import made_up_tunes

PITCHES_OF_C = [0, 2, 4, 5, 7, 9, 11]


def test_parts_and_lengths():
    splits = made_up_tunes(count=20, bars=4)
    assert [len(part) for part in splits] == [12, 4, 4]
    assert {len(tune) for part in splits for tune in part.rolls} == {32}
    assert splits.valid.source == "made-up tunes valid"


def test_a_seed_makes_the_same_tunes_and_another_one_others():
    first, again, other = (made_up_tunes(count=5, seed=seed) for seed in (3, 3, 4))
    assert first.train.fingerprint() == again.train.fingerprint() != other.train.fingerprint()
    assert len({part.fingerprint() for part in first}) == 3


def test_tunes_are_in_c_major_and_end_on_the_tonic():
    splits = made_up_tunes(count=50)
    everything = torch.cat([tune for part in splits for tune in part.rolls])
    pitches = (everything.nonzero()[:, 1] + 21) % 12
    assert sorted(set(pitches.tolist())) == PITCHES_OF_C
    for tune in splits.train.rolls:
        lowest = tune.argmax(1) + 21
        assert lowest[0] % 12 == lowest[-1] % 12 == 0


def test_a_bass_a_chord_and_at_times_a_melody():
    notes = torch.cat(made_up_tunes(count=50).train.rolls).sum(1)
    assert set(notes.tolist()) == {4, 5}  # the melody is above the chord and never doubles it
    assert 0.8 < (notes == 5).float().mean() < 0.95


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="count: got 4"):
        made_up_tunes(count=4)
    with pytest.raises(ValueError, match="bars: got 1"):
        made_up_tunes(bars=1)
