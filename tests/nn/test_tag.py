import inspect
import pickle
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

import fastladder
from fastladder import reference
from fastladder.nn import Tag, TagOptions
from fastladder.nn.tag import Delta
from fastladder.ops.grouping import DELTAS

SHAPE = (5, 4)


class Mapping(nn.Module):
    """A small network that records its inputs."""

    def __init__(self):
        super().__init__()
        self.shown = []
        self.layers = nn.Conv1d(4, 3, 3, padding="same")

    def forward(self, features):
        self.shown.append(features)
        mean, logits, other = self.layers(features.flatten(2)).unflatten(2, SHAPE).unbind(1)
        return mean, logits, other


def make(**options):
    torch.manual_seed(0)
    return Tag(Mapping(), SHAPE, **options)


def data(likelihood="gaussian", count=6):
    x = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))
    return (x > 0.5).float() if likelihood == "bernoulli" else x


def generator(seed=2):
    return torch.Generator().manual_seed(seed)


both = pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])


@both
def test_an_iteration_is_that_of_the_algorithm(likelihood):
    """Algorithms 2 and 3 of the paper, as corrected, written out."""
    tag = make(likelihood=likelihood, iterations=3, initial_mean=0.3)
    x = data(likelihood)
    output = tag(x, generator=generator(), corrupt=False)
    mask = torch.randn(6, 4, *SHAPE, generator=generator()).softmax(1)
    mean = torch.full_like(mask, 0.3)
    for iteration in range(3):
        if likelihood == "gaussian":
            v = 1 + 2**0.5
            delta, evidence = reference.group_evidence(x, mean, mask, v, 0.04)
        else:
            delta, evidence = reference.group_evidence_bernoulli(x, mean, mask, 0.2)
        features = torch.stack([mean, mask, delta, evidence], 2)
        torch.testing.assert_close(tag.mapping.shown[iteration], features.flatten(0, 1))
        z, logits, other = tag.mapping(features.flatten(0, 1))
        mask = logits.view(mask.shape).softmax(1)
        z = z.view(mask.shape)
        if likelihood == "gaussian":
            mean = z
            pixels = (mask * torch.distributions.Normal(mean, v**0.5).log_prob(x[:, None]).exp()).sum(1).log()
        else:
            mean = z.sigmoid()
            q = (mask * mean).sum(1)
            pixels = x * q.log() + (1 - x) * (1 - q).log()
        torch.testing.assert_close(output.means[iteration], mean)
        torch.testing.assert_close(output.masks[iteration], mask)
        torch.testing.assert_close(output.costs[iteration], -pixels.flatten(1).mean(1))
        torch.testing.assert_close(output.others[iteration][0], other)
    torch.testing.assert_close(output.cost, output.costs.mean())


@both
def test_the_input_is_corrupted_in_training_only(likelihood):
    tag = make(likelihood=likelihood, iterations=1, noise=0.3)
    x = data(likelihood, count=400)
    tag.train()(x, generator=generator())
    tag.eval()(x, generator=generator())
    tag(x, noisy=1 - x)
    noisy, clean, given = (recovered(shown, likelihood) for shown in tag.mapping.shown)
    torch.testing.assert_close(clean, x, atol=1e-4, rtol=0)
    torch.testing.assert_close(given, 1 - x, atol=1e-4, rtol=0)
    if likelihood == "bernoulli":
        # 8,000 flips of probability 0.3: a standard deviation of 0.005.
        assert (noisy - x).abs().round().mean().item() == pytest.approx(0.3, abs=0.02)
    else:
        assert (noisy - x).std().item() == pytest.approx(0.3, abs=0.01)
        assert abs((noisy - x).mean().item()) < 0.015


def recovered(features, likelihood):
    """The input that the features of the first iteration, in which all means are 0.5, were made of."""
    z, m, delta, _ = features.unflatten(0, (-1, 4)).unbind(2)
    if likelihood == "gaussian":
        return (z + delta / m)[:, 0]
    return (delta[:, 0] > 0).float()


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


def test_the_variance_is_learned_and_its_legacy_use_differs():
    deltas = {}
    for legacy in (False, True):
        tag = make(delta="gradient", legacy_variance=legacy, iterations=1)
        assert tag.likelihood.variance.item() == pytest.approx(1 + 2**0.5)
        tag(data(), generator=generator(), corrupt=False).cost.backward()
        assert tag.likelihood.weight.grad.abs() > 0
        deltas[legacy] = tag.mapping.shown[0][:, 2]
    v = 1 + 2**0.5
    # With all means equal the delta of "gradient" is m (x - z) / (v + sigma^2).
    torch.testing.assert_close(deltas[False] * (v + 0.04), deltas[True] * (v**2 + 0.04))


def test_the_variance_starts_where_it_is_asked_to():
    for variance in (0.03, 1.0, 7.0):
        assert make(initial_variance=variance).likelihood.variance.item() == pytest.approx(variance, rel=1e-4)


@pytest.mark.parametrize("delta", ["residual", "weighted", "gradient"])
def test_delta_is_that_of_the_evidence(delta):
    tag = make(delta=delta, iterations=1)
    x = data()
    tag(x, generator=generator(), corrupt=False)
    z, m, shown, _ = tag.mapping.shown[0].unflatten(0, (6, 4)).unbind(2)
    expected, _ = reference.group_evidence(x, z, m, 1 + 2**0.5, 0.04, delta=delta)
    torch.testing.assert_close(shown, expected)


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 0}, "groups: got 0, needs a number above 0"),
        ({"groups": 33}, "groups: got 33, needs 32 or less"),
        ({"iterations": 0}, "iterations: got 0, needs a number above 0"),
        ({"likelihood": "poisson"}, "likelihood: got 'poisson', needs one of 'gaussian', 'bernoulli'"),
        ({"noise": -0.1}, "noise: got -0.1, needs a standard deviation of 0 or more"),
        ({"noise": 0.5, "likelihood": "bernoulli"}, "noise: got 0.5, needs a flip probability from 0 to below 0.5"),
        ({"initial_variance": 0.0}, "initial_variance: got 0.0, needs a number above 0"),
        ({"delta": "code"}, "delta: got 'code', needs one of"),
        ({"norm": "group"}, "norm: got 'group', needs one of"),
    ],
)
def test_refuses_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_the_options_for_networks_around_it_are_its_keyword_arguments():
    keywords = {
        parameter.name: parameter.annotation
        for parameter in inspect.signature(Tag).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in ("norm", "device", "dtype")
    }
    assert get_type_hints(TagOptions) == keywords
    assert get_args(Delta) == DELTAS


def test_compiled_it_takes_another_batch_size():
    torch.compiler.reset()
    tag = make(groups=3)
    compiled = torch.compile(tag, backend="eager")
    assert [compiled(torch.rand(size, *SHAPE)).costs.shape for size in (2, 3, 5)] == [(3, 2), (3, 3), (3, 5)]


def test_a_single_dimension_is_an_integer():
    output = Tag(lambda features: (features[:, 0], features[:, 1]), np.int64(7), groups=np.int8(3))(torch.rand(2, 7))
    assert output.masks[-1].shape == (2, 3, 7)


MASK = torch.full((6, 4, *SHAPE), 0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": MASK * 1.5}, "mask: sums over groups are 1.5 to 1.5, needs 1"),
        ({"mask": torch.cat([MASK[:, :2] * 3, -MASK[:, :2]], 1)}, "mask: got -0.25, needs 0 or more"),
        ({"mask": MASK[..., :2]}, "mask: got shape"),
        ({"groups": 0}, "groups: got 0, needs a number above 0"),
        ({"iterations": 0}, "iterations: got 0, needs a number above 0"),
        ({"noisy": torch.zeros(3, 3)}, "noisy: got shape"),
        ({"remove": torch.zeros(6, 5, dtype=torch.bool)}, r"remove: got shape \(6, 5\), needs \(6, 4\)"),
    ],
)
def test_refuses_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        make()(data(), **options)


def test_refuses_what_is_not_binary_and_wrong_targets():
    tag = make(likelihood="bernoulli")
    with pytest.raises(ValueError, match=r"target: got values from .* needs 0 and 1 only"):
        tag(data() * 0.9 + 0.05)
    with pytest.raises(ValueError, match=r"noisy: got values from .* needs 0 and 1 only"):
        tag(data("bernoulli"), noisy=data())
    with pytest.raises(ValueError, match=r"target: got torch.float32 of shape \(2, 3\), needs"):
        tag(torch.zeros(2, 3))
    with pytest.raises(TypeError, match="target: got list, needs a tensor"):
        tag([1.0])
    with pytest.raises(TypeError, match=r"remove: got dtype torch.float32, needs torch.bool"):
        tag(data("bernoulli"), remove=torch.zeros(6, 4))


def test_refuses_wrong_outputs_of_a_mapping():
    class Wrong(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, features):
            return self.function(features)

    with pytest.raises(TypeError, match="mapping: it returned Tensor, needs a tuple of z and mask logits"):
        Tag(Wrong(lambda features: features), SHAPE)(data())
    with pytest.raises(ValueError, match=r"mask logits of shape \(24, 1, 5, 4\), needs \(24, 5, 4\)"):
        Tag(Wrong(lambda features: (features[:, 0], features[:, :1])), SHAPE)(data())
