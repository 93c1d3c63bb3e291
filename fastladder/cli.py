"""The command `fastladder`. What needs the extra packages is imported by the commands that need them."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from fastladder import __version__, backends, info
from fastladder.data.idx import DataError
from fastladder.experiments.errors import NonFiniteCostError, RunError, extra_packages

COMMANDS = {
    "demo": (
        "fastladder.experiments.commands",
        "train a small network in some minutes and show what it learned: demo, or demo rtagger",
    ),
    "train": ("fastladder.experiments.commands", "train a network"),
    "evaluate": ("fastladder.experiments.commands", "evaluate a run on its test set"),
    "reproduce": ("fastladder.experiments.reproduce", "train the rows of a paper's table and print it"),
    "figure": ("fastladder.experiments.commands", "draw a figure of a paper"),
    "sample": ("fastladder.experiments.commands", "draw something new from a run, such as music"),
    "doctor": (None, "print backends, build and versions, and what is absent"),
}
USAGE, FAILURE, INTERRUPTED = 2, 1, 130


class _Parser(argparse.ArgumentParser):
    """Refuses a wrong command with one line."""

    def error(self, message: str) -> NoReturn:
        raise RunError(f"{message} (fastladder --help lists the commands)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code.

    0 for success, 2 for input that cannot be used, 1 for a training that failed, 130 for Ctrl-C. What went wrong is one
    line on the standard error.
    """
    try:
        try:
            return _run(sys.argv[1:] if arguments is None else list(arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on, as in `fastladder doctor | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        return FAILURE
    except (DataError, RunError) as error:
        code, message = USAGE, str(error)
    except NonFiniteCostError as error:
        code, message = FAILURE, str(error)
    except OSError as error:  # a folder or a file that is not there, may not be touched or has no room
        code, message = USAGE, ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    except KeyboardInterrupt:
        code, message = INTERRUPTED, "interrupted"
    print(f"fastladder: {message}", file=sys.stderr)
    return code


def _run(arguments: list[str]) -> int:
    commands = "\n".join(f"  {name:<10}{text}" for name, (_, text) in COMMANDS.items())
    parser = _Parser(
        prog="fastladder",
        description=f"Recurrent ladder networks on fused kernels.\n\ncommands:\n{commands}",
        epilog="fastladder COMMAND --help describes the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fastladder {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the above")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its options")
    parsed = parser.parse_args(arguments)
    module, _ = COMMANDS[parsed.command]
    if module is None:
        return _doctor(parsed.arguments)
    _check_backend()
    with extra_packages(parsed.command):
        commands_module = importlib.import_module(module)
    return getattr(commands_module, f"{parsed.command}_command")(parsed.arguments)


def _check_backend() -> None:
    try:
        backends.check_environment()
    except (ValueError, RuntimeError) as error:
        raise RunError(str(error)) from None


def _doctor(arguments: list[str]) -> int:
    parser = _Parser(prog="fastladder doctor", description=COMMANDS["doctor"][1])
    parser.parse_args(arguments)
    print(info.doctor())
    _check_backend()  # last: what is wrong with it is easier to mend with the report
    return 0
