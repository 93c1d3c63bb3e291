"""`fastladder demo rtagger`: trains a recurrent Tagger on shapes for minutes and shows the groups that it finds."""

import time
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from fastladder.experiments.callbacks import RunRecord
from fastladder.experiments.commands import interrupted, scores_table
from fastladder.experiments.configuration import parse, user_path
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration
from fastladder.experiments.files import write_json
from fastladder.experiments.grouping.figures import examples, plot_groups
from fastladder.experiments.precision import fastest_precision
from fastladder.experiments.shapes.experiment import SHAPES
from fastladder.experiments.training import RunFolder, evaluate, load_weights, read_checkpoint, train
from fastladder.info import environment

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
    folder = RunFolder(options.run)
    console = Console()
    try:
        result = run(options, folder, console)
    except KeyboardInterrupt:
        return interrupted("demo", ["rtagger", *arguments], folder)
    write_json(folder.path / "result.json", result)
    show(result, folder.path, console)
    return 0


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


def run(options: Namespace, folder: RunFolder, console: Console) -> dict[str, Any]:
    """The demonstration itself. Returns its numbers, with what is needed to get them again."""
    configuration = configuration_of(options)
    task, data = SHAPES.build(configuration)
    record = RunRecord(SHAPES.name, configuration, environment(configuration["seed"]))
    parameters = sum(parameter.numel() for parameter in task.parameters())
    console.print(
        f"{len(data.splits.train):,} images of three shapes, a network of {parameters:,} parameters that is never told "
        f"which pixels belong together, {options.epochs} epochs of 100 steps",
        highlight=False,
        soft_wrap=True,
    )
    start = time.perf_counter()
    train(task, data, record, folder, resume=options.resume, minutes=options.minutes, console=console)
    seconds = time.perf_counter() - start
    history = folder.history()
    path = folder.representing(SHAPES)
    load_weights(task, read_checkpoint(path), path)
    scores = evaluate(task, data, configuration["trainer"])
    plot_groups(examples(task.network.cpu(), data.splits.test, "", RANKS), folder.path / "groups.png")
    return {
        "test": scores,
        "parameters": parameters,
        "epochs": len(history),
        "wall_seconds": seconds,
        "configuration": configuration,
        "environment": record.environment,
    }


def show(result: dict[str, Any], folder: Path, console: Console) -> None:
    """Prints the numbers and where the pictures are."""
    console.print(scores_table("On the test images", result["test"], SHAPES.labels))
    for name in ("groups.png", "result.json"):
        console.print(str(folder / name), highlight=False, soft_wrap=True)
    use = f'from fastladder.experiments import load; network = load("{folder}")'
    console.print(f"The network in Python: {use}", highlight=False, markup=False, soft_wrap=True)
