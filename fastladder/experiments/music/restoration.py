"""Fig. 3 of "Variational inference of latent state sequences": noise removed from pieces, and gaps filled in."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jsonargparse import ArgumentParser
from rich.console import Console
from torch import Tensor

from fastladder.experiments.configuration import add_data_arguments, parse
from fastladder.experiments.errors import RunError
from fastladder.experiments.files import write_json
from fastladder.experiments.music.experiment import MUSIC
from fastladder.experiments.music.figures import GIVEN, MISSED, WRONG, plot_rolls
from fastladder.experiments.music.networks import LatentMusic
from fastladder.experiments.option_types import picture_path, user_path
from fastladder.experiments.saved import read_run_of
from fastladder.info import environment
from fastladder.models import VOSP, VRAE

NOISE = 0.05  # the probability with which a key is switched on
GAP = 8  # time steps that are missing
SEED = 0  # of the noise


class Restored(NamedTuple):
    """A piece, what was left of it, and what a network made of that."""

    clean: Tensor  # (T, 88)
    damaged: Tensor  # (T, 88)
    restored: Tensor  # (T, 88)
    scored: slice  # the time steps in which there was something to restore


def denoise(network: VOSP, piece: Tensor, generator: torch.Generator) -> Restored:
    """Switches keys on at random, and has each time step cleaned by those before it and itself."""
    noise = torch.rand(piece.shape, generator=generator) < NOISE
    noisy = piece.masked_fill(noise, 1.0)
    return Restored(piece, noisy, network.denoise(noisy[:, None])[:, 0], slice(None))


def impute(network: VRAE, piece: Tensor, generator: torch.Generator) -> Restored:
    """Takes eight time steps out of the middle of a piece, or all but its ends, and has them filled in."""
    start = max((len(piece) - GAP) // 2, 1)
    gap = slice(start, max(min(start + GAP, len(piece) - 1), start))
    missing = torch.zeros(piece.shape, dtype=torch.bool)
    missing[gap] = True
    left = piece.masked_fill(missing, 0.0)
    return Restored(piece, left, network.impute(left[:, None], missing[:, None], generator=generator)[:, 0], gap)


def error_rate(pieces: Sequence[Restored], damaged: bool = False) -> float:
    """The share of keys and time steps, in percent, that are not as in the clean pieces.

    Args:
        pieces: pooled.
        damaged: whether it is asked of what was left of them, as if nothing had been done.
    """
    wrong = torch.cat([((p.damaged if damaged else p.restored) != p.clean)[p.scored].flatten() for p in pieces])
    return 100 * wrong.float().mean().item()


def panels(piece: Restored, damage: str, before: float, after: float) -> list[tuple[str, Tensor]]:
    """Two rolls for `plot_rolls`: what was left of a piece, and what became of it, with the error rates of all."""
    return [
        (
            f"{damage}: {before:.2f} % of keys wrong in all pieces (red: should not sound, light: should)",
            differences(piece.damaged, piece.clean),
        ),
        (f"restored: {after:.2f} %", differences(piece.restored, piece.clean)),
    ]


def differences(roll: Tensor, clean: Tensor) -> Tensor:
    """A roll for `plot_rolls` whose notes are marked as given, as wrong or as missed."""
    return GIVEN * roll * clean + WRONG * roll * (1 - clean) + MISSED * (1 - roll) * clean


class Restoration(NamedTuple):
    """One of the tasks of the figure."""

    damage: str  # what it is called
    network: type  # that can do it
    restore: Callable[[Any, Tensor, torch.Generator], Restored]


RESTORATIONS = {
    "vosp": Restoration("keys switched on at random", VOSP, denoise),
    "vrae": Restoration("eight time steps missing", VRAE, impute),
}


def figure3_command(arguments: list[str]) -> int:
    """Draws what a VOSP removes as noise, and what a VRAE fills in where time steps are missing."""
    parser = ArgumentParser(
        prog="fastladder figure vrae-figure3", description=figure3_command.__doc__, exit_on_error=False
    )
    parser.add_argument("--vosp", type=user_path, help="run, or checkpoint, of a VOSP")
    parser.add_argument("--vrae", type=user_path, help="run, or checkpoint, of a VRAE")
    parser.add_argument("--piece", type=int, default=0, help="which of the test pieces is drawn, from 0")
    parser.add_argument(
        "--output", type=picture_path, default="vrae-figure3.png", help="the picture; a .json goes beside it"
    )
    add_data_arguments(parser)
    options = parse(parser, arguments)
    shown: list[tuple[str, Tensor]] = []
    result: dict[str, Any] = {"environment": environment(SEED)}
    for name, restoration in RESTORATIONS.items():
        if options[name] is None:
            continue
        saved = read_run_of(MUSIC, Path(options[name]))
        task, data = saved.build(data_dir=options.data_dir, download=options.download)
        network = task.evaluated.eval()
        if not isinstance(network, LatentMusic) or not isinstance(network.network, restoration.network):
            raise RunError(f"{name}: {options[name]} is not of a {restoration.network.__name__}")
        rolls = data.pieces.test.rolls
        if not 0 <= options.piece < len(rolls):
            raise RunError(f"piece: got {options.piece}, needs 0 to {len(rolls) - 1}")
        generator = torch.Generator().manual_seed(SEED)
        pieces = [restoration.restore(network.network, roll, generator) for roll in rolls]
        before, after = error_rate(pieces, damaged=True), error_rate(pieces)
        shown += panels(pieces[options.piece], restoration.damage, before, after)
        result[name] = {"damaged": before, "restored": after, "configuration": saved.configuration}
    if not shown:
        raise RunError("vosp, vrae: got neither, needs a run of one of them")
    output = Path(options.output)
    plot_rolls(output, shown)
    write_json(output.with_suffix(".json"), result)
    Console().print(f"{output}: {len(shown)} rolls", highlight=False, soft_wrap=True)
    return 0
