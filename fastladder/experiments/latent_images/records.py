"""Fig. 3 to 5 of the paper of the ladder VAE: what results and runs have recorded; no images are needed."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console
from torch import Tensor

from fastladder.experiments.configuration import parse
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Configuration
from fastladder.experiments.files import write_json
from fastladder.experiments.latent_images.data import LatentImagesData
from fastladder.experiments.latent_images.experiment import LATENT_IMAGES
from fastladder.experiments.latent_images.figures import (
    Bounds,
    Likelihoods,
    Units,
    plot_bounds,
    plot_likelihoods,
    plot_units,
)
from fastladder.experiments.latent_images.metrics import UNITS
from fastladder.experiments.latent_images.tables import MNIST
from fastladder.experiments.latent_images.task import LatentImagesTask
from fastladder.experiments.option_types import picture_path, user_path
from fastladder.experiments.report import results
from fastladder.experiments.results import Result
from fastladder.experiments.saved import SavedRun, read_run_of
from fastladder.info import environment

Runs = dict[str, SavedRun[LatentImagesTask, LatentImagesData]]  # by what they are called
KINDS = {"ladder": "Ladder VAE", "hierarchical": "VAE"}


def label_of(configuration: Configuration) -> str:
    """What a system is called, as in the paper: "VAE, batch norm, warm-up"; warm-up is of its first training."""
    first = configuration.get("first_training") or configuration
    model = {"network": "ladder", "norm": "batch", "warm_up": 0, **first["model"]}
    parts = {"batch norm": model["norm"] == "batch", "warm-up": model["warm_up"] > 0}
    return ", ".join([KINDS[model["network"]], *(part for part, has in parts.items() if has)])


def read_runs(paths: Sequence[str]) -> Runs:
    """Reads runs of latent images, by their labels; where two have the same, the paths follow.

    Raises:
        RunError: as of `read_run_of`.
    """
    runs = [read_run_of(LATENT_IMAGES, Path(path).expanduser()) for path in paths]
    labels = [label_of(run.configuration) for run in runs]
    return {
        label if labels.count(label) == 1 else f"{label} ({path})": run
        for label, path, run in zip(labels, paths, runs, strict=True)
    }


def likelihoods(found: Iterable[Sequence[Result]]) -> dict[str, list[Likelihoods]]:
    """The results of rows, each with those of all seeds, by their systems, and there by the number of layers."""
    systems: dict[str, list[Likelihoods]] = {}
    for row in found:
        values = [result.test["log_likelihood"] for result in row]
        point = Likelihoods(len(row[0].configuration["model"]["latents"]), values, all(each.complete for each in row))
        systems.setdefault(label_of(row[0].configuration), []).append(point)
    return {label: sorted(points) for label, points in systems.items()}


def bounds(run: SavedRun[Any, Any]) -> Bounds:
    """How a run learned.

    Raises:
        RunError: it did not record it.
    """
    history = [epoch for epoch in run.history if "train/bound" in epoch]
    if not history:
        raise RunError(f"{run.path}: has no bound of the training in its record, as one from before; train it anew")
    epochs = [int(epoch["epoch"]) for epoch in history]
    return Bounds(epochs, *([epoch[f"{part}/bound"] for epoch in history] for part in ("train", "valid")))


def units(run: SavedRun[LatentImagesTask, LatentImagesData]) -> Units:
    """What every unit of a run said, epoch by epoch.

    Raises:
        RunError: it did not record it.
    """
    record = run.checkpoint.get(UNITS)
    if record is None or not record["epochs"]:
        raise RunError(f"{run.path}: has no divergences of units in its record, as one from before; train it anew")
    nats: Tensor = record["nats"]
    layers = nats.split(list(run.task().network.latents), 1)
    return Units(record["epochs"], [layer[:, layer[-1].argsort(descending=True)] for layer in layers])


def figure_parser(name: str, description: str | None) -> ArgumentParser:
    """A parser for the options of a figure, with --output."""
    parser = ArgumentParser(prog=f"fastladder figure {name}", description=description, exit_on_error=False)
    help_text = "the picture; a .json goes beside it"
    parser.add_argument("--output", type=picture_path, default=f"{name}.png", help=help_text)
    return parser


def add_runs(parser: ArgumentParser) -> None:
    """Adds the option --run, which may be given several times."""
    help_text = "run, or checkpoint; may be given several times"
    parser.add_argument("--run", type=str, action="append", required=True, help=help_text)


def store(output: Path, result: dict[str, Any], seed: int | None = None) -> int:
    """Stores what a picture shows beside it, and says that it is there. Returns the exit status."""
    write_json(output.with_suffix(".json"), {**result, "environment": environment(seed)})
    Console().print(str(output), highlight=False, soft_wrap=True)
    return 0


def figure3_command(arguments: list[str]) -> int:
    """Draws the log-likelihood of each system against its number of layers, from the results of ladder-vae-mnist."""
    parser = figure_parser("ladder-vae-figure3", figure3_command.__doc__)
    parser.add_argument("--scale", type=str, default="small", help=f"one of {', '.join(MNIST.scales)}")
    parser.add_argument("--results", type=user_path, default="results", help="folder of the results")
    options = parse(parser, arguments)
    if options.scale not in MNIST.scales:
        raise RunError(f"scale: got {options.scale!r}, {MNIST.name} has {', '.join(MNIST.scales)}")
    found = results(Path(options.results), MNIST, options.scale)
    if not found:
        command = f"fastladder reproduce {MNIST.name} --scale {options.scale}"
        raise RunError(f"{options.results}: holds no result of `{command}`, which trains what is missing")
    systems, output = likelihoods([found[row.name] for row in MNIST.rows if row.name in found]), Path(options.output)
    plot_likelihoods(output, systems)
    stored = {label: {point.layers: point.values for point in points} for label, points in systems.items()}
    return store(output, {"scale": options.scale, "log_likelihood": stored})


def figure4_command(arguments: list[str]) -> int:
    """Draws how the bounds on the likelihood of training and test images rise in the training of several runs."""
    parser = figure_parser("ladder-vae-figure4", figure4_command.__doc__)
    add_runs(parser)
    options = parse(parser, arguments)
    runs, output = read_runs(options.run), Path(options.output)
    learned = {label: bounds(run) for label, run in runs.items()}
    plot_bounds(output, learned)
    stored = {label: {**each._asdict(), "configuration": runs[label].configuration} for label, each in learned.items()}
    return store(output, {"bounds": stored})


def figure5_command(arguments: list[str]) -> int:
    """Draws which units of every layer have something to say, epoch by epoch, in several runs."""
    parser = figure_parser("ladder-vae-figure5", figure5_command.__doc__)
    add_runs(parser)
    options = parse(parser, arguments)
    runs, output = read_runs(options.run), Path(options.output)
    said = {label: units(run) for label, run in runs.items()}
    plot_units(output, said)
    last = {label: [layer[-1].tolist() for layer in each.nats] for label, each in said.items()}
    configurations = {label: run.configuration for label, run in runs.items()}
    return store(output, {"divergences_of_last_epoch": last, "configurations": configurations})
