"""Textured digits as experiments: their classification, and their grouping without labels, which goes before it."""

from fastladder.experiments.classification.metrics import LABELS
from fastladder.experiments.classification.task import ClassificationTask
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration, Experiment, data_of
from fastladder.experiments.grouping.experiment import grouping_experiment
from fastladder.experiments.textured_digits.classifiers import CLASSIFIERS
from fastladder.experiments.textured_digits.data import grouped_digits, image_shape, labelled_digits, why_no_files


def make_task(configuration: Configuration) -> ClassificationTask:
    """The task with its initial weights."""
    options = dict(configuration["model"])
    name = options.pop("classifier")
    if name not in CLASSIFIERS:
        raise RunError(f"classifier: got {name!r}, needs one of {', '.join(CLASSIFIERS)}")
    classifier = CLASSIFIERS[name](image_shape(configuration), **options)
    return ClassificationTask(classifier, **configuration["optimizer"], seed=configuration["seed"])


TEXTURED_DIGITS = Experiment(
    "textured_digits", data_of(labelled_digits), make_task, why_no_files, labels={**LABELS, "ami": "AMI"}
)
TEXTURED_GROUPING = grouping_experiment("textured_digits_grouping", data_of(grouped_digits), image_shape, why_no_files)
