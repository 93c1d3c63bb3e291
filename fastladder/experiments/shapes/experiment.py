"""Grouping of shapes as an experiment: a Tagger that learns without labels."""

from fastladder.experiments.experiment import Configuration
from fastladder.experiments.grouping.experiment import grouping_experiment
from fastladder.experiments.shapes.data import IMAGE_SHAPE, ShapesData


def make_data(configuration: Configuration, *, folder: str | None, download: bool) -> ShapesData:
    """The images. Those of the test may have another number of objects."""
    test = configuration.get("test", {})
    objects = {"test_objects": test["objects"]} if "objects" in test else {}
    return ShapesData(**configuration["data"], **objects, seed=configuration["seed"])


SHAPES = grouping_experiment(
    "shapes",
    make_data,
    lambda configuration: IMAGE_SHAPE,
    lambda configuration: "data.dataset 'shapes', which has no digits",
)
