import torch

from fastladder.data import SMALL, Digits, OccludedMovingDigits
from fastladder.experiments.occluded_moving_digits.speed import training_step_seconds
from fastladder.models import RLadder, rladder_small_digits


def test_every_backend_is_timed_and_the_network_is_left_as_it_was():
    digits = Digits(torch.rand(4, 8, 8), torch.arange(4), "noise")
    network = RLadder(rladder_small_digits(2, 2, 2), (1, 20, 20), steps=5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    seconds = training_step_seconds(network, OccludedMovingDigits(digits, SMALL)[:4], rounds=2)
    assert set(seconds) == {"auto", "reference"}
    assert all(value > 0 for value in seconds.values())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
