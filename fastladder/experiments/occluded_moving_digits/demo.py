"""`fastladder demo`: trains a small network on real digits for a few minutes and shows what it learned."""

from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from fastladder import backends
from fastladder.experiments.configuration import configuration_of, in_its_file, make_parser, parse_training
from fastladder.experiments.demonstration import Demonstration
from fastladder.experiments.occluded_moving_digits import MovingDigitsData, MovingDigitsTask
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.occluded_moving_digits.figures import plot_learning_curves, plot_predictions
from fastladder.experiments.occluded_moving_digits.speed import training_step_seconds
from fastladder.experiments.precision import fastest_precision

MINUTES = 5.0


def demo_command(arguments: list[str]) -> int:
    """Trains, evaluates, measures and draws. A demonstration that is in the folder already is written over."""
    parser = make_parser(
        "demo", f"{__doc__} --config paper takes MNIST and the paper's network instead.", MOVING_DIGITS
    )
    parser.set_defaults({"minutes": MINUTES, "trainer.precision": fastest_precision()})
    options = parse_training(parser, arguments, MOVING_DIGITS)
    configuration = configuration_of(options)
    with in_its_file(options, arguments):
        task, data = MOVING_DIGITS.build(configuration, data_dir=options.data_dir, download=options.download)
    return DEMONSTRATION.run(arguments, options, configuration, task, data)


def introduce(data: MovingDigitsData, parameters: int, epochs: int) -> str:
    """What is trained, in words."""
    train = data.digits.train
    return (
        f"{len(train):,} training sequences of {train.source}, a network of {parameters:,} parameters, {epochs} epochs"
    )


def finish(
    task: MovingDigitsTask, data: MovingDigitsData, history: list[dict[str, float]], folder: Path
) -> dict[str, Any]:
    """Draws the pictures, and measures how fast the network learns."""
    task.float()  # whatever --trainer.precision made of it
    plot_learning_curves(history, folder / "learning_curves.png")
    if task.network.predict:
        plot_predictions(task.network.cpu(), data.test, folder / "predictions.png")
    trained = sum(epoch["seconds"] for epoch in history)
    return {
        "sequences_per_second": sum(epoch["examples"] for epoch in history) / trained,
        "training_step": compare_backends(task, data),
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


def speed_table(result: dict[str, Any]) -> tuple[Table, ...]:
    """The speed of the training, as a table."""
    step = result["training_step"]
    table = Table(title="Speed", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("training, sequences per second", f"{result['sequences_per_second']:.0f}")
    table.add_row(f"training step, fused ({step['fused_backend']})", f"{1000 * step['fused_seconds']:.0f} ms")
    table.add_row("training step, reference", f"{1000 * step['reference_seconds']:.0f} ms")
    table.add_row("fused against reference", f"{step['speedup']:.2f} x")
    return (table,)


DEMONSTRATION = Demonstration(
    MOVING_DIGITS, introduce, finish, "sequences", ("predictions.png", "learning_curves.png"), speed_table
)
