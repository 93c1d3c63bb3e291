"""The likelihood of a piece does not depend on what it is batched with, and is averaged in three ways."""

import pytest
import torch
from torch.distributions import Bernoulli

from fastladder.data import PianoRolls, RollChunks, made_up_tunes
from fastladder.experiments.music.metrics import averages, step_nll
from fastladder.experiments.music.networks import next_step_network

LENGTHS = (12, 1, 7)


@pytest.fixture(scope="module")
def chunks():
    tunes = made_up_tunes(5, 2).train.rolls
    return RollChunks(PianoRolls(tuple(tune[:length] for tune, length in zip(tunes, LENGTHS, strict=True)), "cut"))


@pytest.mark.parametrize("name", ["rladder", "lstm", "gru", "rnn"])
def test_a_padded_batch_scores_its_pieces_as_one_by_one(chunks, name):
    torch.manual_seed(0)
    network = next_step_network(name, 16, 0.5).eval()

    def nll(indices):
        batch = chunks[indices]
        return step_nll(network(batch.before)[0], batch)

    with torch.no_grad():
        together = nll([0, 1, 2])
        alone = [nll([index])[0] for index in range(3)]
    for index, length in enumerate(LENGTHS):
        torch.testing.assert_close(together[index, :length], alone[index])
        assert not together[index, length:].any()
    scores = averages(together, chunks[[0, 1, 2]])
    torch.testing.assert_close(scores["nll"].mean, torch.cat(alone).mean())
    torch.testing.assert_close(scores["nll_without_first"].mean, torch.cat([piece[1:] for piece in alone]).mean())
    torch.testing.assert_close(scores["nll_of_pieces"].mean, torch.stack([piece.mean() for piece in alone]).mean())
    assert [score.weight for score in scores.values()] == [20, 17, 3]


def test_the_likelihood_is_that_of_independent_keys(chunks):
    batch = chunks[[0]]
    logits = torch.randn(batch.rolls.shape, generator=torch.Generator().manual_seed(0))
    expected = -Bernoulli(logits=logits).log_prob(batch.rolls).sum(2)
    torch.testing.assert_close(step_nll(logits, batch), expected)


def test_pieces_of_one_step_have_nothing_but_their_first(chunks):
    assert set(averages(torch.ones(1, 1), chunks[[1]])) == {"nll", "nll_of_pieces"}
