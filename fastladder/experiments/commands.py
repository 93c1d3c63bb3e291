"""`fastladder train`, `evaluate`, `figure` and `sample`."""

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from fastladder.experiments.callbacks import RunRecord
from fastladder.experiments.configuration import (
    add_data_arguments,
    configuration_of,
    experiment_asked,
    in_its_file,
    make_parser,
    options_of,
    parse,
    parse_training,
)
from fastladder.experiments.errors import RunError
from fastladder.experiments.files import write_json
from fastladder.experiments.option_types import user_path
from fastladder.experiments.registry import (
    DEFAULT_DEMO,
    DEFAULT_EXPERIMENT,
    DEMOS,
    FIGURES,
    SAMPLES,
    TRAINED,
    Drawing,
    find_experiment,
)
from fastladder.experiments.saved import read_run
from fastladder.experiments.training import RunFolder, evaluate, train
from fastladder.info import environment


def train_command(arguments: list[str]) -> int:
    """Trains, and leaves a run folder."""
    experiment = find_experiment(experiment_asked(arguments, DEFAULT_EXPERIMENT))
    parser = make_parser("train", options_of(experiment).description, experiment, TRAINED)
    options = parse_training(parser, arguments, experiment)
    folder = RunFolder(options.run)
    if folder.last.exists() and not options.resume:
        raise RunError(f"{folder.path}: holds a run already; --resume goes on with it, --run names another folder")
    configuration = configuration_of(options)
    with in_its_file(options, arguments):
        task, data = experiment.build(configuration, data_dir=options.data_dir, download=options.download)
    console = Console()
    record = RunRecord(experiment.name, configuration, environment(configuration["seed"]))
    try:
        train(task, data, record, folder, resume=options.resume, minutes=options.minutes, console=console)
    except KeyboardInterrupt:
        return interrupted("train", arguments, folder)
    if task.global_rank == 0:
        evaluation = shlex.join(["fastladder", "evaluate", "--run", str(folder.path)])
        console.print(f"the run is in {folder.path}; next: {evaluation}", soft_wrap=True, highlight=False)
    return 0


def interrupted(command: str, arguments: list[str], folder: RunFolder) -> int:
    """Says how to go on after Ctrl-C, and returns the exit code that shells know it by."""
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
        "caveat": data.caveat,
        "configuration": configuration,
        "environment": environment(configuration["seed"]),
    }
    console = Console()
    console.print(scores_table(f"{saved.path}, test", scores, saved.experiment.labels))
    if data.caveat:
        console.print(data.caveat, highlight=False, soft_wrap=True)
    write_json(saved.path.parent / "evaluation.json", result)
    return 0


def scores_table(title: str, scores: dict[str, Any], labels: Mapping[str, str]) -> Table:
    """The scores, one a row: first those that have a label."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    rank = {name: position for position, name in enumerate(labels)}
    for name in sorted(scores, key=lambda name: (rank.get(name, len(rank)), name)):
        table.add_row(label(name, labels), f"{scores[name]:.4g}")
    return table


def label(name: str, labels: Mapping[str, str]) -> str:
    """What a score is called. Of scores of every iteration, such as "ami_3", the number comes last."""
    score, _, iteration = name.rpartition("_")
    if iteration.isdecimal():
        return f"{label(score, labels)}, iteration {iteration}"
    return labels.get(name, name.replace("_", " "))


def demo_command(arguments: list[str]) -> int:
    """Runs the demonstration that the first argument names; where it names none, that of the Recurrent Ladder."""
    named = bool(arguments) and not arguments[0].startswith("-")
    return draw("demo", "a demonstration", DEMOS, arguments if named else [DEFAULT_DEMO, *arguments])


def figure_command(arguments: list[str]) -> int:
    """Draws a figure of a paper, with the options of that figure."""
    return draw("figure", "a figure of a paper", FIGURES, arguments)


def sample_command(arguments: list[str]) -> int:
    """Draws something new from a run, with the options of what is drawn."""
    return draw("sample", "something new from a run", SAMPLES, arguments)


def draw(command: str, what: str, drawings: Mapping[str, Drawing], arguments: list[str]) -> int:
    """Draws what the first argument names, with the others.

    Raises:
        RunError: there is no such drawing; the message lists all.
    """
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        print(f"usage: fastladder {command} {command.upper()} [options; --help lists them]\n\nDraws {what}:")
        width = max(map(len, drawings)) + 2
        for each, drawing in drawings.items():
            print(f"  {each:<{width}}{drawing.title}")
        raise SystemExit(0)
    if name not in drawings:
        raise RunError(f"{command}: got {name!r}, needs one of {', '.join(drawings)}")
    run: Callable[[list[str]], int] = drawings[name].place.find()
    return run(arguments[1:])
