"""What `fastladder demo` does whatever it demonstrates: it trains, evaluates, draws, and says where all of it is."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from fastladder.experiments.callbacks import RunRecord
from fastladder.experiments.commands import interrupted, scores_table
from fastladder.experiments.experiment import Configuration, Experiment
from fastladder.experiments.files import write_json
from fastladder.experiments.training import RunFolder, evaluate, load_weights, read_checkpoint, train
from fastladder.info import environment


@dataclass(frozen=True)
class Demonstration:
    """A demonstration of an experiment, as its family fills it in.

    Attributes:
        experiment: whose task is trained.
        introduce: from the data, the number of parameters and that of epochs to what is said before the training.
        finish: from a trained task, its data, the epochs of the run and its folder: draws the pictures into that, and
            returns further numbers of the result.
        shown: what was tested, in a word.
        pictures: the names of their files.
        tables: from the result to what is printed beside the scores.
    """

    experiment: Experiment[Any, Any]
    introduce: Callable[[Any, int, int], str]
    finish: Callable[[Any, Any, list[dict[str, float]], Path], dict[str, Any]]
    shown: str
    pictures: tuple[str, ...]
    tables: Callable[[dict[str, Any]], tuple[Table, ...]] = lambda result: ()

    def run(self, arguments: list[str], options: Namespace, configuration: Configuration, task: Any, data: Any) -> int:
        """Trains, evaluates, draws and prints. What is in the folder already is written over.

        Args:
            arguments: of the command line after `fastladder demo`, by which it goes on when it is interrupted.
            options: what they say: run, resume and minutes.
            configuration, task, data: what is trained.

        Returns:
            The exit code.
        """
        folder, console = RunFolder(options.run), Console()
        record = RunRecord(self.experiment.name, configuration, environment(configuration["seed"]))
        parameters = sum(parameter.numel() for parameter in task.parameters())
        words = self.introduce(data, parameters, configuration["trainer"]["max_epochs"])
        console.print(words, highlight=False, soft_wrap=True)
        start = time.perf_counter()
        try:
            train(task, data, record, folder, resume=options.resume, minutes=options.minutes, console=console)
            result: dict[str, Any] = {"wall_seconds": time.perf_counter() - start}
            path = folder.representing(self.experiment)
            load_weights(task, read_checkpoint(path), path)
            result["test"] = evaluate(task, data, configuration["trainer"])
            history = folder.history()
            result |= self.finish(task, data, history, folder.path)
        except KeyboardInterrupt:
            return interrupted("demo", arguments, folder)
        result |= {
            "parameters": parameters,
            "epochs": len(history),
            "configuration": configuration,
            "environment": record.environment,
        }
        write_json(folder.path / "result.json", result)
        self.show(result, folder, console)
        return 0

    def show(self, result: dict[str, Any], folder: RunFolder, console: Console) -> None:
        """Prints the numbers, where the pictures are, and how the network is used."""
        console.print(scores_table(f"On the test {self.shown}", result["test"], self.experiment.labels))
        for table in self.tables(result):
            console.print(table)
        for name in (*self.pictures, "result.json"):
            if (folder.path / name).exists():
                console.print(str(folder.path / name), highlight=False, soft_wrap=True)
        use = f'from fastladder.experiments import load; network = load("{folder.path}")'
        console.print(f"The network in Python: {use}", highlight=False, markup=False, soft_wrap=True)
