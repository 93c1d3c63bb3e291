"""Grouping without labels as an experiment: a Tagger, and images of shapes or textured digits."""

from fastladder.experiments.experiment import Configuration, Experiment
from fastladder.experiments.grouping.task import TaggerTask
from fastladder.experiments.images import GroupedData, image_shape, why_not_mnist


def make_data(configuration: Configuration, *, folder: str | None, download: bool) -> GroupedData:
    """The images. The test's may have another number of objects."""
    test = configuration.get("test", {})
    objects = {"test_objects": test["objects"]} if "objects" in test else {}
    return GroupedData(**configuration["data"], **objects, folder=folder, download=download, seed=configuration["seed"])


def make_task(configuration: Configuration) -> TaggerTask:
    """The task with its initial weights. The test may have other numbers of groups and iterations."""
    test = configuration.get("test", {})
    options = {f"test_{name}": test[name] for name in ("groups", "iterations") if name in test}
    shape = image_shape(**configuration["data"])
    return TaggerTask(shape, **configuration["model"], **options, seed=configuration["seed"])


GROUPING = Experiment("grouping", make_data, make_task, lambda configuration: why_not_mnist(**configuration["data"]))
