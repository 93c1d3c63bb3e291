"""RTagger against its algorithm, written out, and how it treats groups, iterations, sequences and states."""

import pytest
import torch

from bench.memory import saved_bytes
from fastladder import reference
from fastladder.models import RTagger
from fastladder.models.rladder import G1, LSTM, AvgPool, Broadcast, Conv, ConvG1, ConvLSTM, Dense, Level
from fastladder.models.tagger import combine_groups

SHAPE = (8, 6)
LEVELS = (
    Level(ConvLSTM(3, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
    Level(Conv(5, 3), ConvG1(3, squash_gate=True)),
)
CLASSIFYING = (*LEVELS, Level(AvgPool(3)), Level(Dense(4)))
NARROW = (
    Level(ConvLSTM(3, 4, stride=2, norm="batch"), ConvG1(4)),
    Level(AvgPool(3), Broadcast()),
    Level(LSTM(4, norm="batch"), G1()),
)


def make(levels=LEVELS, shape=SHAPE, **options):
    torch.manual_seed(0)
    return RTagger(levels, shape, **options)


def data(*shape, likelihood="gaussian"):
    x = torch.rand(*shape, *SHAPE, generator=torch.Generator().manual_seed(1))
    return (x > 0.5).float() if likelihood == "bernoulli" else x


def generator(seed=2):
    return torch.Generator().manual_seed(seed)


both = pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])


def features_of(network, likelihood, noisy, mean, mask, shown):
    """What the RLadder gets, (N * K, 4, *D), by the reference of the operators."""
    if likelihood == "gaussian":
        delta, evidence = reference.group_evidence(noisy, mean, mask, network.tag.likelihood.variance, 0.04)
    else:
        delta, evidence = reference.group_evidence_bernoulli(noisy, mean, mask, 0.2)
    return torch.stack([shown, mask, delta, evidence], 2).flatten(0, 1)


@both
@pytest.mark.parametrize("training", [True, False])
def test_an_image_and_a_sequence_are_those_of_the_algorithm(likelihood, training):
    """The same RLadder for all groups, its state from iteration to iteration; in a sequence the target is the next."""
    network = make(likelihood=likelihood, initial_mean=0.3).train(training)
    mapping = network.tag.mapping
    frames = data(4, 3, likelihood=likelihood)
    for name, noisy, targets in (
        ("image", frames[:, :1].expand_as(frames), frames[:, :1].expand_as(frames)),
        ("sequence", frames, frames[:, 1:]),
    ):
        if name == "image":
            output = network(frames[:, 0], corrupt=False, generator=generator())
        else:
            output = network.forward_sequence(frames, corrupt=False, generator=generator())
        mask = torch.randn(4, 3, *SHAPE, generator=generator()).softmax(1)
        mean = shown = torch.full_like(mask, 0.3)
        state = None
        for t in range(3):
            features = features_of(network, likelihood, noisy[:, t], mean, mask, shown)
            step = mapping.ladder.step(features, state, t)
            state = step.state
            z, logits = mapping.readout(step.prediction).unflatten(0, (4, 3)).unbind(2)
            mask = logits.softmax(1)
            mean, shown = (z, z) if likelihood == "gaussian" else (z.sigmoid(), z)
            torch.testing.assert_close(output.means[t], mean, rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(output.masks[t], mask, rtol=1e-4, atol=1e-4)
            if t < targets.shape[1]:
                nll = negative_log_likelihood(network, likelihood, targets[:, t], mean, mask)
                torch.testing.assert_close(output.costs[t], nll, rtol=1e-4, atol=1e-4)
        assert output.costs.shape == (targets.shape[1], 4)
        torch.testing.assert_close(output.cost, output.costs.mean())


def negative_log_likelihood(network, likelihood, target, mean, mask):
    """Of the target, (N,), in nats per element."""
    if likelihood == "gaussian":
        deviation = network.tag.likelihood.variance.sqrt()
        pixels = (mask * torch.distributions.Normal(mean, deviation).log_prob(target[:, None]).exp()).sum(1).log()
    else:
        q = (mask * mean).sum(1)
        pixels = target * q.log() + (1 - target) * (1 - q).log()
    return -pixels.flatten(1).mean(1)


@pytest.mark.parametrize("levels", [LEVELS, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize(("groups", "iterations"), [(1, 1), (2, 5), (7, 2)])
def test_groups_and_iterations_may_differ_from_those_of_training(levels, groups, iterations):
    network = make(levels, shape=(6, 6)) if levels is NARROW else make(levels)
    output = network(torch.rand(3, *network.tag.data_shape), groups=groups, iterations=iterations)
    assert len(output.means) == len(output.masks) == len(output.costs) == iterations
    for mask in output.masks:
        assert mask.shape == (3, groups, *network.tag.data_shape)
        torch.testing.assert_close(mask.sum(1), torch.ones(3, *network.tag.data_shape))


def test_a_state_goes_on_where_it_was_left():
    network, x, frames = make().eval(), data(4), data(4, 5)
    whole = network(x, iterations=5, generator=generator())
    first = network(x, iterations=2, generator=generator())
    second = network(x, iterations=3, state=first.state)
    torch.testing.assert_close((*first.masks, *second.masks), whole.masks)
    torch.testing.assert_close(torch.cat([first.costs, second.costs]), whole.costs)
    assert second.state.step == 5

    whole = network.forward_sequence(frames, generator=generator())
    first = network.forward_sequence(frames[:, :2], generator=generator())
    second = network.forward_sequence(frames[:, 2:], state=first.state)
    torch.testing.assert_close((*first.means, *second.means), whole.means)


def test_groups_are_exchangeable():
    """With the first masks of the groups in another order, so are their outputs."""
    network, x = make().eval(), data(4)
    mask = torch.randn(4, 3, *SHAPE, generator=generator()).softmax(1)
    order = [2, 0, 1]
    output, reordered = network(x, mask=mask), network(x, mask=mask[:, order])
    for ours, theirs in zip(reordered.means + reordered.masks, output.means + output.masks, strict=True):
        torch.testing.assert_close(ours, theirs[:, order])


def test_classes_are_those_of_all_groups_together():
    network, x = make(CLASSIFYING, classes=3), data(4)
    output = network(x, iterations=2, generator=generator())
    assert [p.shape for p in output.log_probabilities] == [(4, 3)] * 2
    torch.testing.assert_close(output.log_probabilities[0].exp().sum(1), torch.ones(4))
    logits = []
    network.tag.mapping.ladder.encoder[-1].register_forward_hook(lambda row, given, made: logits.append(made))
    output = network(x, iterations=2, generator=generator())
    torch.testing.assert_close(output.log_probabilities[1], combine_groups(logits[1], 3))
    assert make(CLASSIFYING)(x).log_probabilities == ()


@both
def test_generated_frames_are_its_own_predictions(likelihood):
    network, frames = make(likelihood=likelihood).eval(), data(4, 3, likelihood=likelihood)
    generated = network.generate(frames, 4, groups=2, generator=generator())
    assert generated.frames.shape == (4, 4, *SHAPE)
    assert generated.masks.shape == generated.means.shape == (4, 4, 2, *SHAPE)
    expected = (generated.masks * generated.means).sum(2)
    torch.testing.assert_close(generated.frames, expected if likelihood == "gaussian" else (expected > 0.5).float())
    # Given as frames, what was generated makes the network predict the same.
    whole = torch.cat([frames, generated.frames], 1)
    output = network.forward_sequence(whole, groups=2, generator=generator())
    torch.testing.assert_close(torch.stack(output.masks[2:6], 1), generated.masks)


def test_noise_is_added_in_training_only_and_to_the_input_only():
    network, frames = make(noise=0.5), data(4, 3)
    for run in (network.forward_sequence, lambda x, **options: network(x[:, 0], **options)):
        clean, noisy, drawn = (run(frames, generator=generator(), corrupt=flag).costs for flag in (False, True, None))
        torch.testing.assert_close(drawn, noisy)
        assert not torch.allclose(clean, noisy)
    network.eval()
    torch.testing.assert_close(network(frames[:, 0], generator=generator()).costs[0], _clean_cost(network, frames))


def _clean_cost(network, frames):
    return network(frames[:, 0], generator=generator(), corrupt=False).costs[0]


@pytest.mark.parametrize("name", ["forward", "forward_sequence"])
def test_every_parameter_learns(name):
    network = make(CLASSIFYING, classes=3)
    output = getattr(network, name)(data(4, 3) if name == "forward_sequence" else data(4), generator=generator())
    cost_of(output).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ["forward", "forward_sequence"])
def test_recomputation_changes_nothing_but_memory(name):
    """Outputs, gradients and running statistics are those without it; less is saved for the backward pass."""
    x = data(4, 3) if name == "forward_sequence" else data(4)
    found, saved = [], []
    for recompute in (False, True):
        network = make(CLASSIFYING, classes=3, recompute=recompute)
        output = getattr(network, name)(x, generator=generator())
        cost_of(output).backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        statistics = [buffer for key, buffer in network.named_buffers() if "running" in key]
        found.append([*output.masks, *output.log_probabilities, *gradients, *statistics])
        run = getattr(network, name)
        held = [x, *network.parameters(), *network.buffers()]
        saved.append(saved_bytes(lambda run=run: cost_of(run(x)), [], held))
    for without, with_it in zip(*found, strict=True):
        torch.testing.assert_close(with_it, without)
    assert saved[1] < saved[0] / 4


def cost_of(output):
    return output.cost - output.log_probabilities[-1][:, 0].mean()


def test_weights_are_saved_and_loaded():
    first, second = make(), RTagger(LEVELS, SHAPE)
    second.load_state_dict(first.state_dict())
    x = data(4)
    torch.testing.assert_close(first(x, generator=generator()).masks, second(x, generator=generator()).masks)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RTagger((Level(Conv(4, 3)),), SHAPE), r"levels\[0\]: got no decoder cell"),
        (lambda: RTagger(CLASSIFYING, SHAPE, classes=5), r"levels: got Dense\(units=4\).*needs Dense\(6\)"),
        (lambda: RTagger(LEVELS, SHAPE, groups=33), "groups: got 33"),
        (lambda: RTagger(LEVELS, SHAPE, iterations=0), "iterations: got 0"),
        (lambda: make()(data(4), groups=40), "groups: got 40"),
        (lambda: make()(data(4)[:, :3]), "target: got torch.float32 of shape"),
        (lambda: make(likelihood="bernoulli")(data(4)), "target: got values from"),
        (lambda: make(likelihood="bernoulli").forward_sequence(data(4, 3)), "frames: got values from"),
        (lambda: make().forward_sequence(data(4)), "frames: got shape"),
        (lambda: make().forward_sequence(data(4, 0)), "frames: got shape"),
        (lambda: make()(data(4), state=make()(data(4)).state, mask=torch.ones(4, 1, *SHAPE)), "mask: got a tensor and"),
        (lambda: make()(data(4), state=make()(data(4)).state, groups=2), "mask: got shape"),
        (lambda: make()(data(4), state=make()(data(3)).state), "mask: got shape"),
        (lambda: make().generate(data(4, 2), 0), "steps: got 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make()("image"), "target: got str"),
        (lambda: make().forward_sequence(None), "frames: got NoneType"),
        (lambda: make()(data(4), state=(1, 2)), "state: got tuple"),
    ],
)
def test_a_bad_type_is_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()
