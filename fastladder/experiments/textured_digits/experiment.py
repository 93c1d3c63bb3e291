"""The classification of textured digits as an experiment."""

from fastladder.experiments.classification.classifiers import CLASSIFIERS
from fastladder.experiments.classification.data import LabelledData
from fastladder.experiments.classification.task import ClassificationTask
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration, Experiment
from fastladder.experiments.images import image_shape, why_not_mnist


def make_data(configuration: Configuration, *, folder: str | None, download: bool) -> LabelledData:
    """The images."""
    return LabelledData(**configuration["data"], folder=folder, download=download, seed=configuration["seed"])


def make_task(configuration: Configuration) -> ClassificationTask:
    """The task with its initial weights."""
    options = dict(configuration["model"])
    name = options.pop("classifier")
    if name not in CLASSIFIERS:
        raise RunError(f"classifier: got {name!r}, needs one of {', '.join(CLASSIFIERS)}")
    classifier = CLASSIFIERS[name](image_shape(**configuration["data"]), **options)
    return ClassificationTask(classifier, **configuration["optimizer"], seed=configuration["seed"])


TEXTURED_DIGITS = Experiment(
    "textured_digits", make_data, make_task, lambda configuration: why_not_mnist(**configuration["data"])
)
