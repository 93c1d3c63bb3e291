import pytest
import torch
from torch import nn
from torch.nn import functional

from fastladder.data import GroupedBatch
from fastladder.experiments.classification.classifiers import LadderClassifier, SupervisedClassifier
from fastladder.experiments.classification.data import LabelledBatch
from fastladder.experiments.classification.metrics import classification_error, cross_entropy
from fastladder.experiments.classification.task import ClassificationTask
from fastladder.experiments.grouping.metrics import adjusted_mutual_information
from fastladder.experiments.textured_digits.baselines import all_convolutional, mlp, model_c
from fastladder.experiments.textured_digits.classifiers import JointClassifier, TaggerClassifier
from fastladder.models import RTagger, Tagger
from fastladder.models.rladder import AvgPool, Conv, ConvG1, ConvLSTM, Dense, Level

SHAPE = (12, 10)
LEVELS = (
    Level(ConvLSTM(3, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
    Level(Conv(4, 3)),
    Level(AvgPool(5)),
    Level(Dense(11)),
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def make_ladder(weights=0.0, noise=0.0):
    return LadderClassifier(SHAPE, [8], [weights] * 3, [noise] * 3)


def make_tagger(**options):
    return TaggerClassifier(SHAPE, [8, 6], groups=2, iterations=2, **options)


def make_joint(network=RTagger, weight=0.1, iterations=3):
    options = {"classes": 10, "groups": 2, "iterations": 2}
    made = RTagger(LEVELS, SHAPE, **options) if network is RTagger else Tagger(SHAPE, [8, 6], **options)
    return JointClassifier(made, weight, iterations)


CLASSIFIERS = {
    "mlp": lambda: SupervisedClassifier(mlp(SHAPE, [8])),
    "convnet": lambda: SupervisedClassifier(model_c(SHAPE, [2, 3])),
    "ladder": lambda: make_ladder(1.0, 0.3),
    "tagger": make_tagger,
    "all-convolutional": lambda: SupervisedClassifier(all_convolutional(SHAPE, [2, 3])),
    "joint-tagger": lambda: make_joint(Tagger),
    "rtagger": make_joint,
}


def batch_of(count, digits, *, unlabelled=True):
    image = torch.rand(count, *SHAPE)
    other = torch.rand(count, *SHAPE) if unlabelled else None
    return LabelledBatch(image, torch.randint(10, (count, digits)), other)


@pytest.mark.parametrize("digits", [1, 2])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_returns_probabilities_and_learns(name, digits):
    classifier, batch = CLASSIFIERS[name](), batch_of(6, digits)
    costs = classifier.costs(batch)
    costs["cost"].backward()
    assert all(parameter.grad is not None for parameter in classifier.parameters())
    probabilities = classifier.eval()(batch.image).exp()
    assert probabilities.shape == (6, 10)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(6))


def test_two_different_digits_have_a_target_of_a_half_each():
    logits = torch.randn(3, 10).log_softmax(1)
    labels = torch.tensor([[3, 7], [4, 4], [9, 0]])
    target = torch.zeros(3, 10)
    target[0, [3, 7]] = target[2, [0, 9]] = 0.5
    target[1, 4] = 1
    torch.testing.assert_close(cross_entropy(logits, labels), functional.cross_entropy(logits, target))
    single = labels[:, :1]
    torch.testing.assert_close(cross_entropy(logits, single), functional.cross_entropy(logits, single[:, 0]))


def test_errors_are_in_percent_and_of_two_digits_the_top_2_error():
    probabilities = torch.eye(10)[[1, 2, 3, 4]] + 0.5 * torch.eye(10)[[5, 6, 7, 8]]
    assert classification_error(probabilities, torch.tensor([[1], [2], [7], [4]])) == 25
    assert classification_error(probabilities, torch.tensor([[1, 5], [6, 0], [9, 9], [4, 4]])) == pytest.approx(37.5)


@pytest.mark.parametrize("digits", [1, 2])
def test_the_ladder_network_learns_the_same_target(digits):
    """Without noise or denoising its cost is the cross entropy with the target of the other classifiers."""
    classifier, batch = make_ladder(), batch_of(6, digits)
    costs = classifier.costs(batch)
    torch.testing.assert_close(costs["cross_entropy"], cross_entropy(classifier(batch.image), batch.label))
    torch.testing.assert_close(costs["cost"], costs["cross_entropy"])


def test_the_ladder_network_denoises_the_unlabelled_images():
    classifier, batch = make_ladder(weights=1.0), batch_of(6, 1)
    both = [classifier.costs(each) for each in (batch, batch._replace(unlabelled=None))]
    torch.testing.assert_close(both[0]["cross_entropy"], both[1]["cross_entropy"])
    assert both[0]["cost"] != both[1]["cost"]
    own = classifier.network.costs(
        batch.image.flatten(1), batch.label[:, 0], batch.unlabelled.flatten(1), classifier.weights, classifier.noise
    )
    torch.testing.assert_close(both[0]["cost"], own.total)


def test_the_ladder_network_is_tested_with_the_statistics_of_the_training_set():
    classifier, images = make_ladder(), torch.rand(8, *SHAPE)
    classifier.estimate_statistics([images])
    layer = classifier.network.encoder[0]
    torch.testing.assert_close(layer.running_mean, layer.projection(images.flatten(1)).mean(0))


def test_tagger_weighs_denoising_of_the_unlabelled_and_classes_of_the_labelled_images():
    classifier, batch = make_tagger(classification_weight=0.3), batch_of(6, 2)
    torch.manual_seed(1)
    costs = classifier.costs(batch)
    torch.manual_seed(1)
    labelled, unlabelled = classifier.network(batch.image), classifier.network(batch.unlabelled)
    expected = cross_entropy(labelled.log_probabilities[-1], batch.label)
    torch.testing.assert_close(costs["cross_entropy"], expected)
    torch.testing.assert_close(costs["cost"], unlabelled.cost + 0.3 * expected)
    torch.manual_seed(1)
    alone = classifier.costs(batch._replace(unlabelled=None))
    torch.testing.assert_close(alone["cost"], labelled.cost + 0.3 * expected)


def test_tagger_is_tested_on_images_as_they_are_with_more_iterations():
    classifier, image = make_tagger(test_iterations=3), torch.rand(5, *SHAPE)
    torch.manual_seed(1)
    log_probabilities = classifier(image)  # a network in training corrupts its input unless it is asked not to
    torch.manual_seed(1)
    output = classifier.network(image, corrupt=False, iterations=3)
    torch.testing.assert_close(log_probabilities, output.log_probabilities[2])


@pytest.mark.parametrize("network", [Tagger, RTagger])
def test_a_joint_classifier_sees_labelled_and_unlabelled_images_as_one_batch(network):
    classifier, batch = make_joint(network, weight=0.3), batch_of(6, 1)
    torch.manual_seed(1)
    costs = classifier.costs(batch)
    torch.manual_seed(1)
    output = classifier.network(torch.cat([batch.image, batch.unlabelled]))
    expected = cross_entropy(output.log_probabilities[-1][:6], batch.label)
    torch.testing.assert_close(costs["cross_entropy"], expected)
    torch.testing.assert_close(costs["cost"], output.cost + 0.3 * expected)
    torch.manual_seed(1)
    alone = classifier.costs(batch._replace(unlabelled=None))
    torch.manual_seed(1)
    output = classifier.network(batch.image)
    torch.testing.assert_close(alone["cost"] - 0.3 * alone["cross_entropy"], output.cost)


@pytest.mark.parametrize("network", [Tagger, RTagger])
def test_a_joint_classifier_is_scored_after_every_iteration(network):
    classifier = make_joint(network, iterations=3).eval()
    image, label = torch.rand(8, *SHAPE), torch.randint(10, (8, 1))
    groups = torch.randint(1, 3, (8, *SHAPE), dtype=torch.uint8)
    torch.manual_seed(1)
    scores = classifier.scores(GroupedBatch(image, groups, label))
    torch.manual_seed(1)
    output = classifier.network(image, corrupt=False, iterations=3)
    for t in (1, 2, 3):
        error = classification_error(output.log_probabilities[t - 1], label)
        assert scores[f"classification_error_{t}"] == error
        agreement = adjusted_mutual_information(output.masks[t - 1], groups).mean()
        assert scores[f"ami_{t}"] == agreement
    assert scores["classification_error"] == error
    torch.testing.assert_close(scores["cost"], cross_entropy(output.log_probabilities[2], label))
    assert len(scores) == 8


def test_the_baselines_have_the_layers_of_the_paper():
    shapes = [tuple(parameter.shape) for parameter in mlp((28, 28), [2000, 1000]).parameters() if parameter.dim() > 1]
    assert shapes == [(2000, 784), (1000, 2000), (10, 1000)]
    network = model_c((28, 28))
    shapes = [tuple(parameter.shape) for parameter in network.parameters() if parameter.dim() > 1]
    assert shapes == [
        (96, 1, 3, 3),
        (96, 96, 3, 3),
        (192, 96, 3, 3),
        (192, 192, 3, 3),
        (192, 192, 3, 3),
        (192, 192, 1, 1),
        (10, 192, 1, 1),
        (10, 250),
    ]
    assert network(torch.rand(2, 28, 28)).shape == (2, 10)
    assert model_c((9, 14), [2, 3])(torch.rand(2, 9, 14)).shape == (2, 10)
    network = all_convolutional((96, 96))
    shapes = [tuple(parameter.shape) for parameter in network.parameters() if parameter.dim() > 1]
    assert shapes == [
        (96, 1, 3, 3),
        (96, 96, 3, 3),
        (96, 96, 3, 3),
        (192, 96, 3, 3),
        (192, 192, 3, 3),
        (192, 192, 3, 3),
        (192, 192, 3, 3),
        (192, 192, 1, 1),
        (10, 192, 1, 1),
    ]
    assert [module.stride[0] for module in network if isinstance(module, nn.Conv2d)] == [1, 1, 2, 1, 1, 2, 1, 1, 1]
    assert network[:-2](torch.rand(1, 96, 96)).shape == (1, 10, 24, 24)
    assert network(torch.rand(1, 96, 96)).shape == (1, 10)


def test_the_learning_rate_falls_over_the_end_of_the_run():
    task = ClassificationTask(CLASSIFIERS["mlp"](), learning_rate=0.5, decay=0.5)
    task.trainer = type("Where", (), {"estimated_stepping_batches": 8, "gradient_clip_val": None})()
    chosen = task.configure_optimizers()
    rates = []
    for _ in range(9):
        rates.append(chosen["optimizer"].param_groups[0]["lr"])
        chosen["optimizer"].step()
        chosen["lr_scheduler"]["scheduler"].step()
    assert rates == pytest.approx([0.5] * 5 + [0.375, 0.25, 0.125, 0.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mlp(SHAPE, [8, 0]), r"widths: got \[8, 0\], needs numbers above 0"),
        (lambda: model_c(SHAPE, [0, 8]), r"channels: got \[0, 8\], needs numbers above 0"),
        (lambda: all_convolutional(SHAPE, [8, -1]), r"channels: got \[8, -1\], needs numbers above 0"),
        (lambda: model_c((8, 20)), "data_shape: got 8 x 20, Model C needs 9 x 9 at least"),
        (lambda: LadderClassifier(SHAPE, [8], [1.0], [0.0] * 3), r"weights: got \[1.0\], needs 3 numbers"),
        (lambda: LadderClassifier(SHAPE, [8], [1.0] * 3, [0.0] * 4), r"noise: got \[0.0, .*\], needs 3 numbers"),
        (lambda: make_tagger(classification_weight=-1.0), "classification_weight: got -1.0, needs 0 or more"),
        (lambda: make_joint(weight=float("inf")), "classification_weight: got inf, needs 0 or more"),
        (lambda: ClassificationTask(make_ladder(), learning_rate=0.0), "learning_rate: got 0.0, needs a number above"),
        (lambda: ClassificationTask(make_ladder(), decay=-0.1), "decay: got -0.1, needs 0 to 1"),
    ],
)
def test_wrong_values_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
