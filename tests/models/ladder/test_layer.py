"""The levels of a Ladder network's encoder: gains and biases, and the running averages of their statistics."""

import copy

import torch

from fastladder.models import LadderNetwork
from tests.models.ladder.written_out import CONV, EPS, WEIGHTS, batch, encode, labels, tiny


def test_only_a_softmax_has_a_gain_and_a_pool_has_no_bias():
    def kinds(network):
        return [(layer.gain is not None, layer.bias is not None) for layer in network.encoder]

    assert kinds(tiny()) == [(False, True), (True, True)]
    assert kinds(tiny(top_activation="relu")) == [(False, True), (False, True)]
    dense, pool, softmax = (False, True), (False, False), (True, True)
    assert kinds(LadderNetwork((1, 7, 7), CONV)) == [dense, pool, dense, pool, softmax]
    assert kinds(LadderNetwork((1, 7, 7), CONV[:-1])) == [dense, pool, dense, softmax]


def test_running_averages_are_of_labelled_inputs_without_noise():
    network = tiny()
    means, variances = [], []
    for number in range(1, 14):
        labelled = batch() * number
        network.costs(labelled, labels(), batch() + 50, WEIGHTS, 5.0)
        projections = encode(network, labelled, "batch")[0]
        weight = 1 / min(number, 10)
        before = (means[-1], variances[-1]) if means else ([0, 0], [0, 0])
        means.append([m + weight * (p.mean(0) - m) for m, p in zip(before[0], projections, strict=True)])
        variances.append([v + weight * (p.var(0) - v) for v, p in zip(before[1], projections, strict=True)])
        for layer, mean, var in zip(network.encoder, means[-1], variances[-1], strict=True):
            torch.testing.assert_close(layer.running_mean, mean)
            torch.testing.assert_close(layer.running_var, var)
    assert network.num_batches_tracked == 13


def test_evaluation_uses_the_running_averages_and_leaves_them():
    network, x = tiny(), batch()
    for _ in range(3):
        network.costs(batch(), labels(), batch(), WEIGHTS)
    before = copy.deepcopy(network.state_dict())
    network.eval()
    first, second = network.encoder
    z1 = (x @ first.projection.weight.t() - first.running_mean) / (first.running_var + EPS).sqrt()
    p2 = (z1 + first.bias).relu() @ second.projection.weight.t()
    z2 = (p2 - second.running_mean) / (second.running_var + EPS).sqrt()
    logits = second.gain * (z2 + second.bias)
    torch.testing.assert_close(network(x), logits)
    torch.testing.assert_close(network(x[:1]), logits[:1])
    torch.testing.assert_close(network.reconstruct(x).logits, logits)
    network.costs(batch(), labels(), batch(), WEIGHTS)
    network.train()
    network(x)
    network.reconstruct(x)
    for name, value in network.state_dict().items():
        assert value.equal(before[name]), name


def test_without_running_averages_evaluation_is_training():
    network, x = tiny(track_running_stats=False), batch()
    trained = network.reconstruct(x)
    for ours, needed in zip(network.eval().reconstruct(x), trained, strict=True):
        assert ours.equal(needed)
    assert list(network.buffers()) == list(tiny(norm="layer").buffers()) == []
    single = tiny(norm="layer")
    torch.testing.assert_close(single.reconstruct(x[:1]).reconstruction, single.reconstruct(x).reconstruction[:1])


def test_statistics_of_the_whole_training_set():
    network, batches = tiny(), [batch() * k for k in (1, 2, 5)]
    network.costs(batch() * 30, labels(), batch(), WEIGHTS)
    network.estimate_statistics(iter(batches))
    projections = [encode(network, x, "batch")[0] for x in batches]
    for level, layer in enumerate(network.encoder):
        torch.testing.assert_close(layer.running_mean, sum(p[level].mean(0) for p in projections) / 3)
        torch.testing.assert_close(layer.running_var, sum(p[level].var(0) for p in projections) / 3)
    assert network.num_batches_tracked == 3
