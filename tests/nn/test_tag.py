"""Tag against its algorithm, written out, and how it treats groups, iterations and precisions."""

import pickle

import pytest
import torch
from torch import nn

import fastladder
from fastladder import reference
from fastladder.nn import Tag
from tests.nn.tagging import SHAPE, data, generator, make

both = pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])


@pytest.mark.parametrize(
    ("likelihood", "options"),
    [("gaussian", {}), ("gaussian", {"pre_sigmoid": False}), ("bernoulli", {}), ("bernoulli", {"pre_sigmoid": False})],
)
def test_an_iteration_is_that_of_the_algorithm(likelihood, options):
    """Algorithms 2 and 3 of the paper, corrected and written out."""
    tag = make(likelihood=likelihood, iterations=3, initial_mean=0.3, **options)
    x = data(likelihood)
    output = tag(x, generator=generator(), corrupt=False)
    mask = torch.randn(6, 4, *SHAPE, generator=generator()).softmax(1)
    mean = shown = torch.full_like(mask, 0.3)
    for iteration in range(3):
        if likelihood == "gaussian":
            v = 1 + 2**0.5
            delta, evidence = reference.group_evidence(x, mean, mask, v, 0.04)
        else:
            delta, evidence = reference.group_evidence_bernoulli(x, mean, mask, 0.2)
        features = torch.stack([shown, mask, delta, evidence], 2)
        torch.testing.assert_close(tag.mapping.shown[iteration], features.flatten(0, 1))
        z, logits, other = tag.mapping(features.flatten(0, 1))
        mask = logits.view(mask.shape).softmax(1)
        z = z.view(mask.shape)
        if likelihood == "gaussian":
            mean = shown = z
            pixels = (mask * torch.distributions.Normal(mean, v**0.5).log_prob(x[:, None]).exp()).sum(1).log()
        else:
            mean = z.sigmoid()
            shown = z if options == {} else mean
            q = (mask * mean).sum(1)
            pixels = x * q.log() + (1 - x) * (1 - q).log()
        torch.testing.assert_close(output.means[iteration], mean)
        torch.testing.assert_close(output.masks[iteration], mask)
        torch.testing.assert_close(output.costs[iteration], -pixels.flatten(1).mean(1))
        torch.testing.assert_close(output.others[iteration][0], other)
    torch.testing.assert_close(output.cost, output.costs.mean())


@both
@pytest.mark.parametrize(("groups", "iterations"), [(1, 1), (2, 5), (7, 2)])
def test_groups_and_iterations_may_differ_from_those_of_training(likelihood, groups, iterations):
    output = make(likelihood=likelihood)(data(likelihood), groups=groups, iterations=iterations)
    assert len(output.means) == len(output.masks) == len(output.others) == len(output.costs) == iterations
    assert all(mask.shape == (6, groups, *SHAPE) for mask in (*output.masks, *output.means))
    assert all(torch.allclose(mask.sum(1), torch.ones(6, *SHAPE)) for mask in output.masks)


def test_groups_are_treated_alike():
    """Another order of the groups in the first mask is another order of the results."""
    tag = make(norm="layer")
    mask = torch.rand(6, 4, *SHAPE, generator=generator()).softmax(1)
    order = [2, 0, 3, 1]
    one, other = (tag(data(), mask=first, corrupt=False) for first in (mask, mask[:, order]))
    torch.testing.assert_close(one.masks[-1][:, order], other.masks[-1])
    torch.testing.assert_close(one.means[-1][:, order], other.means[-1])
    torch.testing.assert_close(one.costs, other.costs)


def test_a_removed_group_leaves_its_elements_to_the_others():
    tag = make(iterations=2)
    remove = torch.zeros(6, 4, dtype=torch.bool)
    remove[:, 1] = remove[0, 2] = True
    plain = tag(data(), generator=generator(), corrupt=False)
    output = tag(data(), generator=generator(), corrupt=False, remove=remove)
    torch.testing.assert_close(output.masks[0], plain.masks[0])
    assert (output.masks[1][remove] == 0).all()
    rest = plain.masks[1].masked_fill(remove[:, :, None, None], 0)
    torch.testing.assert_close(output.masks[1], rest / rest.sum(1, keepdim=True))


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norm_normalises_the_output_of_the_mapping(norm):
    tag = make(norm=norm, iterations=1)
    with torch.no_grad():
        tag.readout.mean_gain.fill_(2.0)
        tag.readout.mean_bias.fill_(3.0)
        tag.readout.mask_gain.fill_(0.0)
    output = tag(data(count=300), corrupt=False)
    mean = output.means[0].flatten(0, 1)
    dims = 0 if norm == "batch" else (1, 2)
    torch.testing.assert_close(mean.mean(dims), torch.full_like(mean.mean(dims), 3.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(mean.std(dims, correction=0), torch.full_like(mean.mean(dims), 2.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(output.masks[0], torch.full_like(output.masks[0], 0.25))
    if norm == "batch":  # over samples and groups together: no group has them on its own
        of_groups = output.means[0].mean(0)
        assert (of_groups - 3).abs().amax((1, 2)).min() > 0.01


@both
def test_it_learns(likelihood):
    """A mapping that can copy its input comes close to the entropy of the noise."""
    tag = make(likelihood=likelihood, noise=0.1)
    optimizer = torch.optim.Adam(tag.parameters(), 0.02)
    x = data(likelihood, count=64)
    costs = []
    for _ in range(60):
        cost = tag(x, generator=generator()).cost
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        tag.mapping.shown.clear()
        costs.append(cost.item())
    assert costs[-1] < costs[0] - 0.2


def test_half_precision_and_pickle():
    tag = make(dtype=torch.bfloat16)
    output = tag(data().bfloat16())
    assert output.means[-1].dtype == output.masks[-1].dtype == torch.bfloat16
    assert output.costs.dtype == torch.float32
    again = pickle.loads(pickle.dumps(make()))
    assert again.state_dict().keys() == make().state_dict().keys()


def test_runs_under_compile():
    class Plain(nn.Module):
        def forward(self, features):
            return features[:, 2] * 2, features[:, 3]

    tag = Tag(Plain(), SHAPE)
    torch._dynamo.reset()
    compiled = torch.compile(tag, fullgraph=True, backend="aot_eager")
    mask = torch.rand(6, 4, *SHAPE, generator=generator()).softmax(1)
    torch.testing.assert_close(
        compiled(data(), mask=mask, corrupt=False).costs, tag(data(), mask=mask, corrupt=False).costs
    )


def test_backends_agree():
    x = data()
    tag = make()
    fused = tag(x, generator=generator(), corrupt=False)
    with fastladder.use_backend("reference"):
        plain = tag(x, generator=generator(), corrupt=False)
    torch.testing.assert_close(fused.costs, plain.costs)


def test_compiled_it_takes_another_batch_size():
    torch.compiler.reset()
    tag = make(groups=3)
    compiled = torch.compile(tag, backend="eager")
    assert [compiled(torch.rand(size, *SHAPE)).costs.shape for size in (2, 3, 5)] == [(3, 2), (3, 3), (3, 5)]
