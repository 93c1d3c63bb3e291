"""`fastladder train`, `fastladder evaluate` and `fastladder figure`."""

import importlib
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from fastladder.experiments.callbacks import RunRecord
from fastladder.experiments.configuration import (
    add_data_arguments,
    configuration_of,
    in_its_file,
    make_parser,
    parse,
    parse_training,
    user_path,
)
from fastladder.experiments.errors import RunError
from fastladder.experiments.files import write_json
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.saved import read_run
from fastladder.experiments.training import RunFolder, evaluate, train
from fastladder.info import environment

LABELS = {
    "classification_error": "classification error (%)",
    "cross_entropy": "cross entropy (nats)",
    "next_frame_error": "next-frame error (mean square)",
    "predict_zero": "  of predicting an empty frame",
    "copy_last": "  of copying the last frame",
    "ami": "AMI",
}


def train_command(arguments: list[str]) -> int:
    """Trains, and leaves a run folder."""
    parser = make_parser("train", "Trains a network on occluded moving digits.")
    options = parse_training(parser, arguments)
    folder = RunFolder(options.run)
    if folder.last.exists() and not options.resume:
        raise RunError(f"{folder.path}: holds a run already; --resume goes on with it, --run names another folder")
    configuration = configuration_of(options)
    with in_its_file(options, arguments):
        task, data = MOVING_DIGITS.build(configuration, data_dir=options.data_dir, download=options.download)
    console = Console()
    record = RunRecord(MOVING_DIGITS.name, configuration, environment(configuration["seed"]))
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
    """Prints the scores of a run of any experiment on its test set, and stores them beside its checkpoint."""
    parser = ArgumentParser(
        prog="fastladder evaluate",
        description="Evaluates a run of train, demo or reproduce on its test set.",
        exit_on_error=False,
    )
    parser.add_argument("--run", type=user_path, default="runs/train", help="folder of the run")
    help_text = "best, last, or the path of a checkpoint; else the one that stands for the run"
    parser.add_argument("--checkpoint", type=user_path, help=help_text)
    add_data_arguments(parser)
    options = parse(parser, arguments)
    folder = RunFolder(options.run)
    named = {None: folder.path, "best": folder.best, "last": folder.last}
    saved = read_run(named.get(options.checkpoint) or Path(options.checkpoint))
    configuration = saved.configuration
    task, data = saved.build(data_dir=options.data_dir, download=options.download)
    scores = evaluate(task, data, {**configuration["trainer"], "devices": 1, "num_nodes": 1, "strategy": "auto"})
    result = {
        "experiment": saved.experiment.name,
        "checkpoint": saved.path.name,
        "epoch": saved.history[-1]["epoch"] if saved.history else 0,
        "test": scores,
        "configuration": configuration,
        "environment": environment(configuration["seed"]),
    }
    Console().print(scores_table(f"{saved.path}, test", scores))
    write_json(saved.path.parent / "evaluation.json", result)
    return 0


def scores_table(title: str, scores: dict[str, Any]) -> Table:
    """The scores, one a row: first those of `LABELS`."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    rank = {name: position for position, name in enumerate(LABELS)}
    for name in sorted(scores, key=lambda name: (rank.get(name, len(rank)), name)):
        table.add_row(label(name), f"{scores[name]:.4g}")
    return table


def label(name: str) -> str:
    """What a score is called. Of scores of every iteration, such as "ami_3", the number comes last."""
    score, _, iteration = name.rpartition("_")
    if iteration.isdecimal():
        return f"{label(score)}, iteration {iteration}"
    return LABELS.get(name, name.replace("_", " "))


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
        "fastladder.experiments.message_passing.figures",
        "message_passing_command",
    ),
    "tagger-figure4": Figure(
        "Groups of shapes, by iteration (Tagger, Fig. 4)",
        "fastladder.experiments.grouping.figures",
        "figure4_command",
    ),
    "tagger-figure5": Figure(
        "Groups of textured digits, by iteration (Tagger, Fig. 5)",
        "fastladder.experiments.grouping.figures",
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
    return command(arguments[1:])
