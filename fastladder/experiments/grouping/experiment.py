"""Grouping without labels as an experiment of any family: a Tagger, and images whose pixels belong to groups."""

from collections.abc import Callable

from fastladder.experiments.experiment import Configuration, Experiment
from fastladder.experiments.grouping.task import TaggerTask
from fastladder.experiments.images import ImageData


def grouping_experiment(
    name: str,
    data: Callable[..., ImageData],
    image_shape: Callable[[Configuration], tuple[int, int]],
    why_no_files: Callable[[Configuration], str],
) -> Experiment[TaggerTask, ImageData]:
    """An experiment whose task is a Tagger.

    Args:
        name, data, why_no_files: as for `fastladder.experiments.experiment.Experiment`.
        image_shape: from a configuration to the height and width of an image.
    """

    def make_task(configuration: Configuration) -> TaggerTask:
        """The task with its initial weights. The test may have other numbers of groups and iterations."""
        test = configuration.get("test", {})
        options = {f"test_{name}": test[name] for name in ("groups", "iterations") if name in test}
        return TaggerTask(image_shape(configuration), **configuration["model"], **options, seed=configuration["seed"])

    return Experiment(name, data, make_task, why_no_files, labels={"ami": "AMI"})
