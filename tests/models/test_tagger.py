import pytest
import torch
from torch.nn import functional

from fastladder.models import Tagger
from fastladder.models.tagger import combine_groups
from fastladder.nn import TagOptions

SHAPE = (4, 5)
WIDTHS = (12, 8, 6)


def make(**options):
    torch.manual_seed(0)
    return Tagger(SHAPE, WIDTHS, **options)


def data(count=5):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(1))


def generator(seed=2):
    return torch.Generator().manual_seed(seed)


def test_mapping_is_projection_ladder_and_two_readouts():
    """Written out with the formulas of the paper and the initial weights of the Ladder network."""
    mapping = make().tag.mapping
    features = torch.randn(7, 4, *SHAPE, generator=generator())
    state = {name: value.double() for name, value in mapping.state_dict().items()}

    def layer(x):
        return functional.layer_norm(x, x.shape[1:], eps=1e-10)

    hidden = layer(features.double().flatten(1) @ state["input.projection.weight"].T).relu()
    mean, logits = mapping.double()(features.double())
    # With a squashed gate combinators initially return z / 2, so that the Ladder network returns half of its input.
    torch.testing.assert_close(mean.flatten(1), hidden / 2 @ state["mean.weight"].T)
    torch.testing.assert_close(logits.flatten(1), hidden / 2 @ state["mask.weight"].T)


def test_gates_pass_a_sigmoid_for_real_data_only():
    for likelihood, squashed in (("gaussian", True), ("bernoulli", False)):
        combinators = make(likelihood=likelihood).tag.mapping.ladder.combinators
        assert [combinator.squash_gate for combinator in combinators] == [squashed] * len(combinators)
    assert make().tag.mapping.ladder.combinators[0].squash_gate  # as the default is real data


def test_the_paper_network_and_its_first_weights():
    torch.manual_seed(0)
    mapping = Tagger((20, 20)).tag.mapping
    assert mapping.input.projection.weight.shape == (2000, 4 * 400)
    assert [level.projection.weight.shape for level in mapping.ladder.encoder] == [(1000, 2000), (500, 1000)]
    for readout in (mapping.mean, mapping.mask):
        assert readout.weight.shape == (400, 2000)
        assert readout.bias is None
        assert readout.weight.std().item() == pytest.approx(2000**-0.5, rel=0.01)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_every_parameter_learns(norm, likelihood):
    tagger = make(norm=norm, likelihood=likelihood, classes=3)
    optimizer = torch.optim.Adam(tagger.parameters(), 0.01)
    target = data().round() if likelihood == "bernoulli" else data()
    before = {name: value.clone() for name, value in tagger.named_parameters()}
    for _ in range(6):  # at first combinators ignore their tops; gradients reach one more level with every step
        output = tagger(target, generator=generator())
        (output.cost + functional.cross_entropy(output.log_probabilities[-1], torch.tensor([0, 1, 2, 0, 1]))).backward()
        optimizer.step()
    assert [name for name, value in tagger.named_parameters() if torch.equal(value, before[name])] == []


def test_layer_normalisation_keeps_samples_apart_and_batch_normalisation_does_not():
    mask = torch.rand(5, 4, *SHAPE, generator=generator()).softmax(1)
    for norm, apart in (("layer", True), ("batch", False)):
        tagger = make(norm=norm).eval()
        whole = tagger(data(), mask=mask).means[-1][:2]
        part = tagger(data()[:2], mask=mask[:2]).means[-1]
        assert torch.allclose(whole, part, atol=1e-5) == apart


def test_batch_normalisation_has_no_running_statistics():
    tagger = make(norm="batch")
    assert [name for name, _ in tagger.named_buffers()] == []
    mask = torch.rand(5, 4, *SHAPE, generator=generator()).softmax(1)
    one, other = (tagger.train(mode)(data(), mask=mask, corrupt=False).costs for mode in (True, False))
    torch.testing.assert_close(one, other)


def test_classes_are_summed_over_groups_and_renormalised():
    logits = torch.randn(2 * 3, 5, generator=generator(), dtype=torch.float64)
    probabilities = logits.softmax(1).view(2, 3, 5)[:, :, :4].sum(1)  # the fifth is "no class"
    expected = probabilities / probabilities.sum(1, keepdim=True)
    torch.testing.assert_close(combine_groups(logits, 3).exp(), expected)
    # Where every group is sure of "no class" the probabilities still sum to one.
    sure = torch.tensor([[0.0, 1.0, 2.0, 200.0]]).repeat(2, 1)
    torch.testing.assert_close(combine_groups(sure, 2).exp(), torch.tensor([[0.0, 1.0, 2.0]]).softmax(1))


def test_classifies_in_every_iteration():
    output = make(classes=10)(data(), groups=2, iterations=4)
    assert [scores.shape for scores in output.log_probabilities] == [(5, 10)] * 4
    assert all(torch.allclose(scores.exp().sum(1), torch.ones(5)) for scores in output.log_probabilities)
    assert make()(data()).log_probabilities == ()


def test_copies_the_parameters_of_a_smaller_network():
    """As in the paper: first trained without labels, then with classifying layers on top."""
    small = make()
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(1.0)
    torch.manual_seed(1)
    large = Tagger(SHAPE, (*WIDTHS, 7), classes=10)
    fresh = {name: value.clone() for name, value in large.state_dict().items()}
    taken = large.load_pretrained(small.state_dict())
    assert "tag.mapping.input.projection.weight" in taken
    assert "tag.readout.mean_bias" in taken
    for name, value in large.state_dict().items():
        assert torch.equal(value, small.state_dict()[name] if name in taken else fresh[name]), name
    assert set(fresh) - set(taken)
    with pytest.raises(ValueError, match="state: got nothing that fits"):
        large.load_pretrained({"weight": torch.zeros(2)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (5,)}, r"widths: got \(5,\), needs two levels at least"),
        ({"classes": 0}, "classes: got 0, needs a number above 0"),
        ({"groups": 0}, "groups: got 0, needs a number above 0"),
        ({"norm": "none"}, "norm: got 'none', needs one of 'batch', 'layer'"),
        ({"top_activation": "tanh"}, "top_activation: got 'tanh', needs one of"),
    ],
)
def test_refuses_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tagger(SHAPE, **({"widths": WIDTHS} | arguments))


def test_hands_the_options_of_tag_on():
    options = {"groups": 2, "iterations": 5, "noise": 0.3, "initial_mean": 0.1, "initial_variance": 0.5,
               "delta": "gradient", "legacy_variance": True, "pre_sigmoid": False, "validate": False}  # fmt: skip
    tag = make(**options).tag
    kept = {name: getattr(tag if hasattr(tag, name) else tag.likelihood, name) for name in options}
    assert kept == options
    assert make(likelihood="bernoulli").tag.likelihood.noise == 0.2
    assert TagOptions.__annotations__.keys() == options.keys() | {"likelihood"}


def test_an_unknown_option_is_named():
    with pytest.raises(TypeError, match="unexpected keyword argument 'group'"):
        make(group=3)
