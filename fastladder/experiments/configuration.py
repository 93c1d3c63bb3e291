"""Command-line options and YAML configurations."""

import argparse
import inspect
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, Namespace
from lightning.pytorch import Trainer

from fastladder.experiments.effects import check_effects, given_options
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Experiment, Options
from fastladder.experiments.option_types import batch_count, batch_limit, user_path
from fastladder.experiments.yaml_files import YamlFile, read_yaml

# Lightning's own options that a run offers; the rest would get in the way of checkpoints, loggers or batches.
TRAINER_OPTIONS = {
    "accelerator",
    "devices",
    "num_nodes",
    "strategy",
    "precision",
    "max_epochs",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "deterministic",
    "benchmark",
}
RETIRED = {"trainer.log_every_n_steps"}  # configurations from before have it; it never had an effect

SECTIONS = ("data", "model", "trainer")
LIMITS = ("limit_train_batches", "limit_val_batches", "limit_test_batches")


class ConfigurationFile(ActionConfigFile):
    """--config, which also takes the name of a configuration that comes with the package."""

    experiment: ClassVar[Experiment[Any, Any]]

    def __call__(self, parser: Any, config: Any, value: Any, option_string: str | None = None) -> None:
        shipped = options_of(self.experiment).files / f"{value}.yaml"
        path = shipped if shipped.is_file() else Path(value)
        file = read_yaml(path)
        of = file.content.get("experiment", self.experiment.name)
        if of != self.experiment.name:
            raise RunError(f"{path}: is of the experiment {of}, needs one of {self.experiment.name}")
        options = dict(options_in(file, set(parser.get_defaults().keys()) - {self.dest}))
        try:
            super().__call__(parser, config, yaml.safe_dump(options), option_string)
        except Exception as error:  # jsonargparse wraps whatever a type raises
            *_, name, message = ["", *re.split(r'Parser key "([^"]+)":\s+', str(error))]
            raise RunError(f"{file.place(name)}: {name}: {message}") from None
        config[self.dest][-1] = str(path)


def options_of(experiment: Experiment[Any, Any]) -> Options:
    """How `fastladder train` trains an experiment.

    Raises:
        RunError: it does not.
    """
    if experiment.options is None:
        raise RunError(f"experiment: {experiment.name} is trained by `fastladder reproduce` only")
    return experiment.options


def experiment_asked(arguments: list[str], default: str) -> str:
    """The name of the experiment that the option --experiment asks for, on which the other options depend."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--experiment", default=default)
    try:
        asked, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise RunError(str(error)) from None
    return str(asked.experiment)


def options_in(file: YamlFile, known: set[str]) -> Iterator[tuple[str, Any]]:
    """The options in a file, with their full names, such as "model.network".

    Args:
        file: what was read.
        known: the full names of all options.

    Raises:
        RunError: there is an unknown one, or a value where a section has to be; the message names file and line.
    """
    waiting = list(file.content.items())
    while waiting:
        name, value = waiting.pop(0)
        if name in known:
            yield name, value
        elif any(each.startswith(f"{name}.") for each in known):
            if not isinstance(value, dict):
                raise RunError(f"{file.place(name)}: {name}: got {value!r}, needs a section of lines key: value")
            waiting += [(f"{name}.{key}", inner) for key, inner in value.items()]
        elif name not in RETIRED:
            raise RunError(f"{file.place(name)}: {name}: is no option; fastladder train --help lists them")


def make_parser(
    command: str, description: str, experiment: Experiment[Any, Any], names: Sequence[str] = ()
) -> ArgumentParser:
    """The options of everything that trains. A configuration file has the same names.

    Args:
        command: as whose options they are shown.
        description: of the command.
        experiment: on which most options depend.
        names: of the experiments that --experiment takes; this one only where there are none.
    """
    declared = options_of(experiment)
    parser = ArgumentParser(
        prog=f"fastladder {command}",
        description=description,
        exit_on_error=False,
        allow_abbrev=False,  # else an option that has no effect would not be known by its name
        default_config_files=[str(declared.files / "demo.yaml")],
    )
    shipped = ", ".join(sorted(path.stem for path in declared.files.glob("*.yaml")))
    action = type("ConfigurationFile", (ConfigurationFile,), {"experiment": experiment})
    parser.add_argument("--config", action=action, help=f"YAML file, or one of {shipped}; options override it")
    help_text = "what is learnt, on which options of data and model depend"
    parser.add_argument("--experiment", choices=names or [experiment.name], default=experiment.name, help=help_text)
    parser.add_argument("--run", type=user_path, default=f"runs/{command}", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in that folder")
    parser.add_argument("--minutes", type=float | None, help="stop after the first epoch that ends later than this")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data and order")
    add_data_arguments(parser)
    parser.add_class_arguments(declared.data, "data", skip=set(declared.data_skipped), instantiate=False)
    parser.add_class_arguments(declared.model, "model", skip=set(declared.model_skipped), instantiate=False)
    skip = set(inspect.signature(Trainer).parameters) - TRAINER_OPTIONS
    parser.add_class_arguments(Trainer, "trainer", skip=skip, instantiate=False, fail_untyped=False)
    for limit in LIMITS:
        help_text = "how many batches of an epoch (1), or which share of them (1.0)"
        parser.add_argument(f"--trainer.{limit}", type=batch_limit, help=help_text)
    parser.add_argument("--trainer.accumulate_grad_batches", type=batch_count, default=1, help="batches in a step")
    return parser


def add_data_arguments(parser: ArgumentParser) -> None:
    """Where files come from. It does not decide the numbers, so it is no part of a run's configuration."""
    help_text = "folder with the four idx files of MNIST, or with the collections of music"
    parser.add_argument("--data-dir", type=user_path, help=help_text)
    parser.add_argument("--download", action="store_true", help="fetch MNIST if it is not there")


def parse(parser: ArgumentParser, arguments: list[str]) -> Namespace:
    """The options. --help ends the program.

    Raises:
        RunError: an option or a key is unknown or has a wrong value; the message names it.
    """
    try:
        return parser.parse_args(arguments)
    except Exception as error:  # jsonargparse wraps whatever a type or a YAML reader raises
        # Of an option with several types it lists the complaint of each: their names will do.
        message = re.sub(r" Errors: .*(?= Given value type)", "", " ".join(str(error).split()))
        raise RunError(message) from None


def parse_training(parser: ArgumentParser, arguments: list[str], experiment: Experiment[Any, Any]) -> Namespace:
    """The options of a training.

    Raises:
        RunError: as of `parse`, or an option was given that others make void.
    """
    options = parse(parser, arguments)
    check_effects(options, arguments, options_of(experiment).voids)
    return options


@contextmanager
def in_its_file(options: Namespace, arguments: list[str]) -> Iterator[None]:
    """Says of a value that is refused later, as by a network, in which line of which file of --config it stands."""
    try:
        yield
    except RunError as error:
        name, colon, _ = str(error).partition(": ")
        full = next((f"{section}.{name}" for section in SECTIONS if name in options[section]), name)
        if colon and f"--{full}" not in given_options(arguments):
            for path in reversed(options.config or []):
                file = read_yaml(Path(path))
                if full in file.lines:
                    raise RunError(f"{file.place(full)}: {error}") from None
        raise


def configuration_of(options: Namespace) -> dict[str, Any]:
    """All options that decide the numbers, as plain values."""
    return {"seed": options.seed, **{name: options[name].as_dict() for name in SECTIONS}}
