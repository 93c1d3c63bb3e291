"""Pieces are cut into chunks and batched without loss, and each step stands beside the one before it."""

import pytest
import torch

from fastladder.data import KEYS, PianoRolls, RollChunks


def pieces(*lengths):
    """Pieces of random rolls."""
    generator = torch.Generator().manual_seed(0)
    rolls = tuple(torch.bernoulli(torch.full((length, KEYS), 0.3), generator=generator) for length in lengths)
    return PianoRolls(rolls, "random")


def test_a_chunk_holds_its_steps_and_those_before():
    music = pieces(7, 3)
    chunks = RollChunks(music, 3)
    assert chunks.lengths.tolist() == [3, 3, 1, 3]
    batch = chunks[[0, 1, 2, 3]]
    first, second = music.rolls
    assert batch.rolls.shape == batch.before.shape == (4, 3, KEYS)
    assert batch.begins.tolist() == [True, False, False, True]
    assert batch.lengths.tolist() == [3, 3, 1, 3]
    assert batch.rolls[1].equal(first[3:6])
    assert batch.before[1].equal(first[2:5])
    assert batch.rolls[2, 0].equal(first[6])
    assert not batch.rolls[2, 1:].any()
    assert batch.before[2, 0].equal(first[5])
    assert not batch.before[2, 1:].any()
    for row, piece in ((0, first), (3, second)):  # a piece begins after silence
        assert not batch.before[row, 0].any()
        assert batch.before[row, 1:].equal(piece[:2])
    assert batch.mask.tolist() == [[True] * 3, [True] * 3, [True, False, False], [True] * 3]


def test_whole_pieces_and_all_their_steps():
    music = pieces(5, 1, 4)
    chunks = RollChunks(music)
    assert chunks.lengths.tolist() == [5, 1, 4]
    assert chunks[torch.tensor([1])].rolls[0].equal(music.rolls[1])
    for steps in (1, 2, 3, 100):
        cut = RollChunks(music, steps)
        assert int(cut.lengths.sum()) == music.steps
        batch = cut[range(len(cut))]
        assert batch.rolls[batch.mask].equal(torch.cat(music.rolls))


def test_batches_hold_every_chunk_once_beside_those_of_near_lengths():
    chunks = RollChunks(pieces(*range(1, 41)))
    for generator in (None, torch.Generator().manual_seed(1)):
        batches = chunks.batches(8, generator)
        assert torch.cat(batches).sort().values.tolist() == list(range(40))
        padding = sum(int((~chunks[batch].mask).sum()) for batch in batches)
        assert padding < 0.25 * chunks.pieces.steps
    assert [int(chunks.lengths[batch].max()) for batch in chunks.batches(8)] == [8, 16, 24, 32, 40]


def test_the_order_is_that_of_its_generator():
    chunks = RollChunks(pieces(*[10] * 20))
    orders = [torch.cat(chunks.batches(4, torch.Generator().manual_seed(seed))).tolist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_a_chunk_has_a_step_at_least():
    with pytest.raises(ValueError, match="steps: got 0, needs 1 or more"):
        RollChunks(pieces(3), 0)
