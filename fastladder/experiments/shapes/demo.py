"""`fastladder demo rtagger`: trains a recurrent Tagger on shapes for minutes and shows the groups that it finds."""

from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from fastladder.experiments.configuration import parse
from fastladder.experiments.demonstration import Demonstration
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration
from fastladder.experiments.grouping.figures import examples, plot_groups
from fastladder.experiments.grouping.task import ImageGroupingTask
from fastladder.experiments.images import ImageData
from fastladder.experiments.option_types import user_path
from fastladder.experiments.precision import fastest_precision
from fastladder.experiments.shapes.experiment import SHAPES

MINUTES = 10.0
RANKS = (0.0, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0)  # of the images that are shown, from the best grouped to the worst


def demo_command(arguments: list[str]) -> int:
    """Trains, evaluates and draws. A demonstration that is in the folder already is written over."""
    parser = ArgumentParser(prog="fastladder demo rtagger", description=__doc__, exit_on_error=False)
    parser.add_argument("--run", type=user_path, default="runs/demo-rtagger", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in that folder")
    parser.add_argument(
        "--minutes", type=float | None, default=MINUTES, help="stop after the first epoch that ends later than this"
    )
    parser.add_argument("--epochs", type=int, default=16, help="of 100 steps")
    parser.add_argument("--seed", type=int, default=0, help="of weights, images and noise")
    options = parse(parser, arguments)
    configuration = configuration_of(options)
    task, data = SHAPES.build(configuration)
    return DEMONSTRATION.run(["rtagger", *arguments], options, configuration, task, data)


def configuration_of(options: Namespace) -> Configuration:
    """What is trained, and how long: the RTagger of the table `rtagger-shapes`."""
    if options.epochs < 1:
        raise RunError(f"epochs: got {options.epochs}, needs 1 or more")
    return {
        "seed": options.seed,
        "data": {"dataset": "shapes", "sizes": [50_000, 100, 500], "batch_size": 50},
        "model": {"network": "rtagger", "learning_rate": 0.001, "schedule": "linear"},
        "trainer": {"max_epochs": options.epochs, "limit_train_batches": 100, "precision": fastest_precision()},
        "test": {"groups": 4, "objects": 3, "iterations": 5},
    }


def introduce(data: ImageData, parameters: int, epochs: int) -> str:
    """What is trained, in words."""
    return (
        f"{len(data.splits.train):,} images of three shapes, a network of {parameters:,} parameters that is never told "
        f"which pixels belong together, {epochs} epochs of 100 steps"
    )


def draw(task: ImageGroupingTask, data: ImageData, history: list[dict[str, float]], folder: Path) -> dict[str, Any]:
    """Draws the groups of some test images."""
    plot_groups(examples(task.network.cpu(), data.splits.test, "", RANKS), folder / "groups.png")
    return {}


DEMONSTRATION = Demonstration(SHAPES, introduce, draw, "images", ("groups.png",))
