"""Networks that predict the next step begin near what music is like, and go on from their state."""

import pytest
import torch

from fastladder.data import KEYS, made_up_tunes
from fastladder.experiments.music.networks import next_step_network

NAMES = ["rladder", "lstm", "gru", "rnn"]


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_rare_at_first(name):
    torch.manual_seed(0)
    logits, _ = next_step_network(name, 16, 0.0)(made_up_tunes(5, 2).train.rolls[0][None])
    assert logits.shape == (1, 16, KEYS)
    assert 0.02 < logits.sigmoid().mean() < 0.1  # 0.034 to 0.045 in the collections


@pytest.mark.parametrize("name", NAMES)
def test_two_halves_are_the_whole(name):
    torch.manual_seed(0)
    network = next_step_network(name, 16, 0.0).eval()
    before = made_up_tunes(5, 2).train.rolls[0][None]
    with torch.no_grad():
        whole, _ = network(before)
        first, state = network(before[:, :5])
        second, _ = network(before[:, 5:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


@pytest.mark.parametrize("name", NAMES)
def test_a_prediction_depends_on_what_was_before_alone(name):
    torch.manual_seed(0)
    network = next_step_network(name, 16, 0.0).eval()
    before = made_up_tunes(5, 2).train.rolls[0][None]
    changed = before.clone()
    changed[:, 9] = 1 - changed[:, 9]
    with torch.no_grad():
        same = (network(before)[0] == network(changed)[0]).all(2)[0]
    assert same[:9].all()
    assert not same[9]


def test_dropout_is_of_the_output():
    torch.manual_seed(0)
    network = next_step_network("gru", 16, 0.5)
    before = made_up_tunes(5, 2).train.rolls[0][None]
    assert not network(before)[0].equal(network(before)[0])
    network.eval()
    assert network(before)[0].equal(network(before)[0])
