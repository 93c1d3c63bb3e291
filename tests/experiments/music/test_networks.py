"""Networks of music begin near what music is like; those that predict the next step go on from their state."""

import pytest
import torch

from fastladder.data import KEYS, RollChunks, made_up_tunes
from fastladder.models.vrae.bernoulli import BernoulliOutput
from fastladder.nn import FastDropoutLinear
from tests.experiments.music.networks import LATENT, NEXT_STEP, small


@pytest.mark.parametrize("name", NEXT_STEP)
def test_keys_are_rare_at_first(name):
    logits, _ = small(name)(made_up_tunes(5, 2).train.rolls[0][None])
    assert logits.shape == (1, 16, KEYS)
    assert 0.02 < logits.sigmoid().mean() < 0.1  # 0.034 to 0.045 in the collections


@pytest.mark.parametrize("name", NEXT_STEP)
def test_two_halves_are_the_whole(name):
    network = small(name).eval()
    before = made_up_tunes(5, 2).train.rolls[0][None]
    with torch.no_grad():
        whole, _ = network(before)
        first, state = network(before[:, :5])
        second, _ = network(before[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


@pytest.mark.parametrize("name", NEXT_STEP)
def test_a_prediction_depends_on_what_was_before_alone(name):
    network = small(name).eval()
    before = made_up_tunes(5, 2).train.rolls[0][None]
    changed = before.clone()
    changed[:, 9] = 1 - changed[:, 9]
    with torch.no_grad():
        same = (network(before)[0] == network(changed)[0]).all(2)[0]
    assert same[:9].all()
    assert not same[9]


def test_dropout_is_of_the_output():
    network = small("gru", dropout=0.5)
    before = made_up_tunes(5, 2).train.rolls[0][None]
    assert not network(before)[0].equal(network(before)[0])
    network.eval()
    assert network(before)[0].equal(network(before)[0])


@pytest.mark.parametrize("name", LATENT)
def test_latent_sequences_cost_their_bound(name):
    network = small(name)
    tunes = RollChunks(made_up_tunes(5, 3).train, 11)
    batch = tunes[[0, 2]]
    assert batch.lengths.tolist() == [11, 2]
    costs = network.step_costs(batch, torch.Generator().manual_seed(0))
    assert costs.shape == (2, 11)
    assert costs[0].gt(0).all()
    assert not costs[1, 2:].any()
    again, other = (network.step_costs(batch, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert again.equal(costs)
    assert not other.equal(costs)
    likelihood = network.log_likelihood(batch, 3, torch.Generator().manual_seed(0))
    assert likelihood.shape == (2,)
    assert likelihood[0] < likelihood[1] < 0


@pytest.mark.parametrize("name", ["fd-rnn", *LATENT])
def test_fast_dropout_begins_as_in_its_paper(name):
    modules = list(small(name).modules())
    for module in modules:
        if isinstance(module, FastDropoutLinear):
            assert module.weight.ne(0).sum(1).max() <= 15
    (output,) = (module for module in modules if isinstance(module, BernoulliOutput))
    assert output.linear.bias.eq(-3).all()
