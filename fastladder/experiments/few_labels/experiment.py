"""Digits with few labels as an experiment: a Ladder network that classifies them."""

from fastladder.experiments.classification.classifiers import LadderClassifier
from fastladder.experiments.classification.metrics import LABELS
from fastladder.experiments.classification.task import ClassificationTask
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration, Experiment, data_of, source_not_mnist
from fastladder.experiments.few_labels.data import digits, image_shape
from fastladder.models.ladder import AvgPool, Conv, LadderRow, MaxPool, ladder_conv_small, ladder_mlp

# The levels below the classes.
NETWORKS: dict[str, tuple[LadderRow, ...] | tuple[int, ...]] = {
    "mlp": ladder_mlp()[:-1],
    "conv": ladder_conv_small()[:-1],
    "small-mlp": (250, 100, 50, 50),
    "small-conv": (Conv(16, 3, "full"), MaxPool(2), Conv(32, 3), Conv(10, 1), AvgPool(3)),  # of 8 x 8
}


def make_task(configuration: Configuration) -> ClassificationTask:
    """The task with its initial weights."""
    options = dict(configuration["model"])
    name = options.pop("network")
    if name not in NETWORKS:
        raise RunError(f"network: got {name!r}, needs one of {', '.join(NETWORKS)}")
    classifier = LadderClassifier(image_shape(configuration), NETWORKS[name], **options)
    return ClassificationTask(classifier, **configuration["optimizer"], seed=configuration["seed"])


FEW_LABELS = Experiment("few_labels", data_of(digits), make_task, source_not_mnist("mnist"), labels=LABELS)
