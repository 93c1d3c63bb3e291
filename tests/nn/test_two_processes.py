"""Two processes: with different numbers of time steps, and with statistics of the batches of both."""

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from fastladder.models import LadderNetwork, RLadder, rladder_small_digits
from fastladder.nn import (
    ConvG1,
    ConvLSTM,
    LadderCombinator,
    StepBatchNorm,
    Tag,
    synchronize_batch_norm,
)
from tests.nn.modules import Mapping, tensors

BATCH = 6  # of both processes together: 2 samples for the first, 4 for the second


class Sequences(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = ConvLSTM(2, 3, 3, norm="batch", steps=2, batch_first=True).double()

    def forward(self, x):
        return self.network(x)[0]


class Statistics(nn.Module):
    """The costs of a Ladder network, whose levels are normalised in several ways."""

    def __init__(self):
        super().__init__()
        self.network = LadderNetwork(4, (6, 3)).double()

    def forward(self, x):
        labels = (x.sum(1) > 2).long()
        costs = self.network.costs(x, labels, x, 1.0, noise=0.0)
        return costs.denoising[None].expand(len(x), -1), costs.classification.expand(len(x))


class Grouping(nn.Module):
    def __init__(self):
        super().__init__()
        self.tag = Tag(Mapping(), 2, groups=3, norm="batch").double()

    def forward(self, x):
        mask = (x[:, None] * torch.arange(1, 4).view(3, 1)).softmax(1)
        return self.tag(x, mask=mask, corrupt=False).costs.transpose(0, 1)


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.norm, self.combine = ConvG1(2, 3, 3), StepBatchNorm(3), LadderCombinator(3, norm="batch")
        self.double()

    def forward(self, x):
        y = self.norm(self.cell(x, torch.cat([x, x[:, :1]], 1)))
        return self.combine(y, y.sin())


# How it is made, and the shape of a batch.
NETWORKS = {
    "ConvLSTM": (Sequences, (BATCH, 3, 2, 4, 4)),
    "LadderNetwork": (Statistics, (BATCH, 4)),
    "Tag": (Grouping, (BATCH, 2)),
    "cells": (Cell, (BATCH, 2, 4, 4)),
    "RLadder": (lambda: RLadder(rladder_small_digits(2, 3, 4), (1, 20, 20), steps=2).double(), (BATCH, 2, 1, 20, 20)),
}


def inputs(name):
    return torch.rand(NETWORKS[name][1], dtype=torch.float64, generator=torch.Generator().manual_seed(4))


def step(network, x):
    """Adds the gradients of a sum over samples."""
    weighted = [(y * torch.linspace(1, 2, y[0].numel()).to(y).view(y.shape[1:])).sum() for y in outputs(network(x))]
    sum(weighted).backward()


def outputs(results):
    """The outputs that depend on the parameters, with the batch as their first dimension."""
    results = results[:2] if isinstance(results, tuple) else results  # not the state of an RLadder
    return [y for y in tensors(results) if y.requires_grad]


def uneven_time_steps(rank, name):
    torch.manual_seed(0)
    if name == "RLadder":
        network, x = RLadder(rladder_small_digits(2, 3, 4), (1, 20, 20)), torch.rand(2, 3 if rank else 1, 1, 20, 20)
    else:
        network, x = ConvLSTM(2, 3, 3), torch.rand(3 if rank else 1, 2, 2, 5, 5)
    wrapped = DistributedDataParallel(network)
    for _ in range(2):  # DDP reports in the second step what it missed in the first
        wrapped.zero_grad()
        sum(y.square().mean() for y in tensors(wrapped(x)[:2])).backward()
    return {key: p.grad.clone() for key, p in network.named_parameters()}


def shared_statistics(rank, name):
    torch.manual_seed(0)
    network = synchronize_batch_norm(NETWORKS[name][0]())
    x = inputs(name)
    step(DistributedDataParallel(network), x[2:] if rank else x[:2])
    # DDP averages over processes, where a single process sums over the whole batch.
    return {key: 2 * p.grad for key, p in network.named_parameters()}, dict(network.named_buffers())


def run(rank, store, results):
    """Everything that the two processes do for all tests, as they are slow to start."""
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    try:
        steps = {name: uneven_time_steps(rank, name) for name in ("ConvLSTM", "RLadder")}
        results[rank] = (steps, {name: shared_statistics(rank, name) for name in NETWORKS})
    finally:
        distributed.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Of each process: gradients with different time steps, and gradients and buffers with shared statistics."""
    with multiprocessing.Manager() as manager:
        results = manager.dict()
        multiprocessing.spawn(run, (tmp_path_factory.mktemp("group") / "store", results), nprocs=2)
        return results[0], results[1]


@pytest.mark.parametrize("name", ["ConvLSTM", "RLadder"])
def test_one_process_has_one_time_step_and_the_other_three(name, results):
    (first, _), (second, _) = results
    for key, gradient in first[name].items():
        torch.testing.assert_close(gradient, second[name][key])
        assert gradient.abs().max() > 0, key


@pytest.mark.parametrize("name", NETWORKS)
def test_synchronized_statistics_are_those_of_the_whole_batch(name, results):
    torch.manual_seed(0)
    network = NETWORKS[name][0]()
    step(network, inputs(name))
    for _, shared in results:
        gradients, buffers = shared[name]
        for key, parameter in network.named_parameters():
            torch.testing.assert_close(gradients[key], parameter.grad, msg=lambda t, key=key: f"{key}: {t}")
        for key, buffer in network.named_buffers():
            torch.testing.assert_close(buffers[key], buffer, msg=lambda t, key=key: f"{key}: {t}")


def test_without_synchronization_each_process_has_its_own(results):
    """This shows that the test above can fail."""
    torch.manual_seed(0)
    network = NETWORKS["Tag"][0]()
    step(network, inputs("Tag")[:2])
    step(network, inputs("Tag")[2:])
    gradients, _ = results[0][1]["Tag"]
    assert any(not torch.allclose(gradients[key], p.grad) for key, p in network.named_parameters())


def test_a_network_without_batch_statistics_is_refused():
    with pytest.raises(ValueError, match="module: got Linear without batch normalisation of fastladder"):
        synchronize_batch_norm(nn.Linear(2, 3))
