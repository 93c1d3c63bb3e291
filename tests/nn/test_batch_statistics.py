"""Running statistics estimated anew, as after averaging the weights of several networks."""

import copy
import functools

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from fastladder.models import LadderNetwork, RLadder, rladder_small_digits
from fastladder.nn import ConvLSTM, StepBatchNorm, Tag, synchronize_batch_norm, update_batch_norm
from tests.nn.modules import Mapping, shares, tensors


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(6)


def test_update_batch_norm_does_what_update_bn_does():
    theirs, ours = nn.BatchNorm2d(3), StepBatchNorm(3)
    batches = [torch.randn(4, 3, 5, 5) * n + n for n in (1, 2, 3)]
    update_bn(batches, theirs)
    update_batch_norm(batches, ours)
    assert theirs.running_mean.abs().min() > 1
    torch.testing.assert_close(ours.running_mean[0], theirs.running_mean)
    torch.testing.assert_close(ours.running_var[0], theirs.running_var)
    assert ours.momentum == 0.1


def test_every_time_step_gets_the_average_over_batches():
    network = ConvLSTM(2, 3, 3, norm="batch", steps=2)
    batches = [torch.randn(4, 5, 2, 6, 6) + n for n in range(3)]
    network.eval()
    update_batch_norm([(batch, "label") for batch in batches], network)
    assert not network.training
    with torch.no_grad():
        projections = [network.l0.input_projection(batch[0]) for batch in batches]
    averages = [
        torch.stack([statistic(p, (0, 2, 3)) for p in projections]).mean(0) for statistic in (torch.mean, torch.var)
    ]
    statistics = network.l0.preactivation
    torch.testing.assert_close(statistics.running_mean[0, 0], averages[0])
    torch.testing.assert_close(statistics.running_var[0, 0], averages[1])
    assert statistics.num_batches_tracked.tolist() == [3, 9]  # the last three time steps share theirs


def test_all_of_a_network_is_updated_with_torchs_own():
    network = nn.Sequential(
        nn.Flatten(0, 1),
        nn.BatchNorm2d(1),
        nn.Unflatten(0, (2, 3)),
        RLadder(rladder_small_digits(2, 3, 4), (1, 20, 20)),
    )
    averaged = copy.deepcopy(network)
    batches = [torch.rand(2, 3, 1, 20, 20) for _ in range(2)]
    update_batch_norm(iter(batches), averaged, device="cpu")
    before, after = dict(network.named_buffers()), dict(averaged.named_buffers())
    assert {name for name in before if torch.equal(before[name], after[name])} == set()
    assert network.state_dict().keys() == averaged.state_dict().keys()


@pytest.mark.parametrize("training", [True, False])
def test_synchronized_where_there_are_no_processes(training):
    networks = [LadderNetwork(4, (8, 3)), ConvLSTM(2, 3, 3, norm="batch"), Tag(Mapping(), 2, groups=3, norm="batch")]
    inputs = torch.rand(5, 4), torch.rand(3, 4, 2, 5, 5), torch.rand(4, 2)
    for network, x in zip(networks, inputs, strict=True):
        run = functools.partial(network.train(training), **({"mask": shares(4, 3, 2)} if x.shape[1] == 2 else {}))
        torch.manual_seed(1)
        expected = tensors(run(x))
        synchronize_batch_norm(network)
        torch.manual_seed(1)
        for ours, needed in zip(tensors(run(x)), expected, strict=True):
            torch.testing.assert_close(ours, needed)


def test_an_empty_batch_leaves_the_statistics():
    network = LadderNetwork(4, (8, 3))
    network.costs(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.rand(3, 4), 1.0)
    assert all(buffer.isfinite().all() for buffer in network.buffers())


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="module: got a LadderNetwork, which has estimate_statistics"):
        update_batch_norm([torch.rand(2, 4)], nn.Sequential(LadderNetwork(4, (3,)), nn.BatchNorm1d(3)))
    with pytest.raises(ValueError, match="module: got Linear, needs batch normalisation with running statistics"):
        update_batch_norm([torch.rand(2, 4)], nn.Linear(4, 3))
    with pytest.raises(ValueError, match="loader: got no batches"):
        update_batch_norm([], StepBatchNorm(2))
