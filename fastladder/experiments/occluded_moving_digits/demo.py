"""`fastladder demo`: trains a small network on real digits for a few minutes and shows what it learned."""

import time
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from fastladder import backends
from fastladder.experiments.callbacks import RunRecord
from fastladder.experiments.commands import interrupted, scores_table
from fastladder.experiments.configuration import configuration_of, in_its_file, make_parser, parse_training
from fastladder.experiments.files import write_json
from fastladder.experiments.occluded_moving_digits import MovingDigitsData, MovingDigitsTask
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.occluded_moving_digits.figures import plot_learning_curves, plot_predictions
from fastladder.experiments.occluded_moving_digits.metrics import LABELS
from fastladder.experiments.occluded_moving_digits.speed import training_step_seconds
from fastladder.experiments.precision import fastest_precision
from fastladder.experiments.training import RunFolder, evaluate, load_weights, read_checkpoint, train
from fastladder.info import environment

MINUTES = 5.0


def demo_command(arguments: list[str]) -> int:
    """Trains, evaluates, measures and draws. A demonstration that is in the folder already is written over."""
    parser = make_parser(
        "demo", f"{__doc__} --config paper takes MNIST and the paper's network instead.", MOVING_DIGITS
    )
    parser.set_defaults({"minutes": MINUTES, "trainer.precision": fastest_precision()})
    options = parse_training(parser, arguments, MOVING_DIGITS)
    folder = RunFolder(options.run)
    console = Console()
    try:
        result = run(options, arguments, folder, console)
    except KeyboardInterrupt:
        return interrupted("demo", arguments, folder)
    write_json(folder.path / "result.json", result)
    show(result, folder.path, console)
    return 0


def run(options: Namespace, arguments: list[str], folder: RunFolder, console: Console) -> dict[str, Any]:
    """The demonstration itself. Returns its numbers, with what is needed to get them again."""
    configuration = configuration_of(options)
    with in_its_file(options, arguments):
        task, data = MOVING_DIGITS.build(configuration, data_dir=options.data_dir, download=options.download)
    record = RunRecord(MOVING_DIGITS.name, configuration, environment(configuration["seed"]))
    parameters = sum(parameter.numel() for parameter in task.parameters())
    console.print(
        f"{len(data.digits.train):,} training sequences of {data.digits.train.source}, "
        f"a network of {parameters:,} parameters, {configuration['trainer']['max_epochs']} epochs",
        highlight=False,
        soft_wrap=True,
    )
    start = time.perf_counter()
    train(task, data, record, folder, resume=options.resume, minutes=options.minutes, console=console)
    seconds = time.perf_counter() - start
    history = folder.history()
    path = folder.representing(MOVING_DIGITS)
    load_weights(task, read_checkpoint(path), path)
    scores = evaluate(task, data, configuration["trainer"])
    task.float()  # whatever --trainer.precision made of it
    plot_learning_curves(history, folder.path / "learning_curves.png")
    if task.network.predict:
        plot_predictions(task.network.cpu(), data.test, folder.path / "predictions.png")
    trained = sum(epoch["seconds"] for epoch in history)
    return {
        "test": scores,
        "parameters": parameters,
        "epochs": len(history),
        "wall_seconds": seconds,
        "sequences_per_second": sum(epoch["examples"] for epoch in history) / trained,
        "training_step": compare_backends(task, data),
        "configuration": configuration,
        "environment": record.environment,
    }


def compare_backends(task: MovingDigitsTask, data: MovingDigitsData) -> dict[str, Any]:
    """The time of a training step on the fused operators and on the reference, measured alternately."""
    batch = data.train[: data.batch_size]
    fused = backends.select_backend("lstm_gates", batch.observed.device, torch.float32)
    seconds = training_step_seconds(task.network.to(batch.observed.device), batch)
    return {
        "fused_backend": fused,
        "fused_seconds": seconds["auto"],
        "reference_seconds": seconds["reference"],
        "speedup": seconds["reference"] / seconds["auto"],
    }


def show(result: dict[str, Any], folder: Path, console: Console) -> None:
    """Prints the numbers and where the pictures are."""
    console.print(scores_table("On the test sequences", result["test"], LABELS))
    step = result["training_step"]
    table = Table(title="Speed", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("training, sequences per second", f"{result['sequences_per_second']:.0f}")
    table.add_row(f"training step, fused ({step['fused_backend']})", f"{1000 * step['fused_seconds']:.0f} ms")
    table.add_row("training step, reference", f"{1000 * step['reference_seconds']:.0f} ms")
    table.add_row("fused against reference", f"{step['speedup']:.2f} x")
    console.print(table)
    for name in ("predictions.png", "learning_curves.png", "result.json"):
        if (folder / name).exists():
            console.print(str(folder / name), highlight=False, soft_wrap=True)
    use = f'from fastladder.experiments import load; network = load("{folder}")'
    console.print(f"The network in Python: {use}", highlight=False, markup=False, soft_wrap=True)
