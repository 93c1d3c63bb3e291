"""`fastladder train`, `fastladder evaluate` and `fastladder figure`."""

import importlib
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from fastladder.experiments.callbacks import RECORD, RunRecord
from fastladder.experiments.configuration import add_data_arguments, build, configuration_of, make_parser, parse
from fastladder.experiments.errors import RunError
from fastladder.experiments.training import RunFolder, evaluate, load_weights, read_checkpoint, train
from fastladder.info import environment

LABELS = {
    "classification_error": "classification error (%)",
    "cross_entropy": "cross entropy (nats)",
    "next_frame_error": "next-frame error (mean square)",
    "predict_zero": "  of predicting an empty frame",
    "copy_last": "  of copying the last frame",
    "cost": "cost",
}


def train_command(arguments: list[str]) -> int:
    """Trains, and leaves a run folder."""
    parser = make_parser("train", "Trains a network on occluded moving digits.")
    options = parse(parser, arguments)
    folder = RunFolder(options.run)
    if folder.last.exists() and not options.resume:
        raise RunError(f"{folder.path}: holds a run already; --resume goes on with it, --run names another folder")
    configuration = configuration_of(options)
    task, data = build(configuration, data_dir=options.data_dir, download=options.download)
    console = Console()
    record = RunRecord(configuration, environment(configuration["seed"]))
    try:
        train(task, data, record, folder, resume=options.resume, minutes=options.minutes, console=console)
    except KeyboardInterrupt:
        return interrupted("train", arguments, folder)
    if task.global_rank == 0:
        evaluation = shlex.join(["fastladder", "evaluate", "--run", str(folder.path)])
        console.print(f"the run is in {folder.path}; next: {evaluation}", soft_wrap=True, highlight=False)
    return 0


def interrupted(command: str, arguments: list[str], folder: RunFolder) -> int:
    """Says how to go on after Ctrl-C, and answers the exit code that shells know it by."""
    if not folder.last.exists():
        raise KeyboardInterrupt
    again = shlex.join(["fastladder", command, *arguments, *([] if "--resume" in arguments else ["--resume"])])
    print(f"interrupted; {folder.last} holds all finished epochs; go on with: {again}", file=sys.stderr)
    return 130


def evaluate_command(arguments: list[str]) -> int:
    """Prints the metrics of a run's checkpoint on the test sequences, and stores them beside it."""
    parser = ArgumentParser(
        prog="fastladder evaluate",
        description="Evaluates a run on the test sequences.",
        exit_on_error=False,
    )
    parser.add_argument("--run", type=str, default="runs/train", help="folder of the run")
    parser.add_argument("--checkpoint", type=str, default="best", help="best, last, or the path of a checkpoint")
    add_data_arguments(parser)
    options = parse(parser, arguments)
    folder = RunFolder(options.run)
    path = {"best": folder.best, "last": folder.last}.get(options.checkpoint, Path(options.checkpoint))
    checkpoint = read_checkpoint(path)
    configuration = checkpoint[RECORD]["configuration"]
    task, data = build(configuration, data_dir=options.data_dir, download=options.download)
    load_weights(task, checkpoint, path)
    folder.open()
    scores = evaluate(task, data, {**configuration["trainer"], "devices": 1, "num_nodes": 1, "strategy": "auto"})
    result = {
        "checkpoint": path.name,
        "epoch": checkpoint[RECORD]["history"][-1]["epoch"] if checkpoint[RECORD]["history"] else 0,
        "test": scores,
        "configuration": configuration,
        "environment": environment(configuration["seed"]),
    }
    (folder.path / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n")
    Console().print(scores_table(f"{path}, test", scores))
    return 0


def scores_table(title: str, scores: dict[str, Any]) -> Table:
    """The metrics, one a row."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for name, label in LABELS.items():
        if name in scores:
            table.add_row(label, f"{scores[name]:.4g}")
    return table


class Figure(NamedTuple):
    """A figure of a paper: what it shows, and the module and function that draw it from their own options."""

    title: str
    module: str
    function: str


FIGURES = {
    "rladder-figure4": Figure(
        "Truth, observation, prediction and probe (Recurrent Ladder Networks, Fig. 4)",
        "fastladder.experiments.occluded_moving_digits.probe",
        "figure4_command",
    ),
    "message-passing": Figure(
        "Message passing, corrected and as printed (Recurrent Ladder Networks, appendices B and C)",
        "fastladder.experiments.message_passing",
        "message_passing_command",
    ),
    "tagger-figure4": Figure(
        "Groups of shapes, by iteration (Tagger, Fig. 4)",
        "fastladder.experiments.tagger.figures",
        "figure4_command",
    ),
    "tagger-figure5": Figure(
        "Groups of textured digits, by iteration (Tagger, Fig. 5)",
        "fastladder.experiments.tagger.figures",
        "figure5_command",
    ),
}


def figure_command(arguments: list[str]) -> int:
    """Draws a figure of a paper, with the options of that figure."""
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        print("usage: fastladder figure FIGURE [options; --help lists them]\n\nDraws a figure of a paper:")
        for each, figure in FIGURES.items():
            print(f"  {each:<17}{figure.title}")
        raise SystemExit(0)
    if name not in FIGURES:
        raise RunError(f"figure: got {name!r}, needs one of {', '.join(FIGURES)}")
    figure = FIGURES[name]
    command: Callable[[list[str]], int] = getattr(importlib.import_module(figure.module), figure.function)
    try:
        return command(arguments[1:])
    except OSError as error:
        raise RunError(f"{error.filename}: cannot be written ({error.strerror})") from None
