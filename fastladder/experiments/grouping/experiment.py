"""Grouping without labels as an experiment of any family: a network, and images whose pixels belong to groups."""

from collections.abc import Callable

from fastladder.experiments.experiment import Configuration, Experiment
from fastladder.experiments.grouping.networks import OF_TRAINING, make_network
from fastladder.experiments.grouping.task import ImageGroupingTask
from fastladder.experiments.images import ImageData


def grouping_experiment(
    name: str,
    data: Callable[..., ImageData],
    image_shape: Callable[[Configuration], tuple[int, int]],
    why_no_files: Callable[[Configuration], str],
) -> Experiment[ImageGroupingTask, ImageData]:
    """An experiment whose task is to group.

    Args:
        name, data, why_no_files: as for `fastladder.experiments.experiment.Experiment`.
        image_shape: from a configuration to the height and width of an image.
    """

    def make_task(configuration: Configuration) -> ImageGroupingTask:
        """The task with its initial weights. The test may have other numbers of groups and iterations."""
        model, test = configuration["model"], configuration.get("test", {})
        options = {name: model[name] for name in OF_TRAINING if name in model}
        options |= {f"test_{name}": test[name] for name in ("groups", "iterations") if name in test}
        network = make_network(image_shape(configuration), model)
        return ImageGroupingTask(network, **options, seed=configuration["seed"])

    return Experiment(name, data, make_task, why_no_files, labels={"ami": "AMI"})
