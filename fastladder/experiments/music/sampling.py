"""`fastladder sample music`: goes on from a piece, or begins one, and writes it as MIDI, as sound and as a picture."""

from pathlib import Path

import torch
from jsonargparse import ArgumentParser
from rich.console import Console
from torch import Tensor

from fastladder.data import KEYS, read_midi, synthesize, write_midi, write_wav
from fastladder.data.midi import check_frame
from fastladder.experiments.configuration import parse
from fastladder.experiments.errors import RunError
from fastladder.experiments.music.experiment import MUSIC
from fastladder.experiments.music.figures import GIVEN, MADE, plot_rolls
from fastladder.experiments.music.networks import NextStep
from fastladder.experiments.option_types import user_path
from fastladder.experiments.saved import read_run_of
from fastladder.experiments.training import open_folder

QUARTERS_PER_MINUTE = 100.0


def sample(
    network: NextStep, given: Tensor, steps: int, *, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Draws time steps one after the other, every key independently, from what a network predicts of each.

    Args:
        network: that predicts.
        given: (T, 88) float32, the steps before; T may be 0.
        steps: how many to draw.
        temperature: by which logits are divided: below 1 what is likely becomes likelier.
        generator: that draws.

    Returns:
        (steps, 88) float32 of zeros and ones.
    """
    training = network.training
    network.eval()
    drawn = []
    with torch.no_grad():
        before = torch.cat([given.new_zeros(1, KEYS), given])  # a piece begins after silence
        state = None
        for _ in range(steps):
            logits, state = network(before[None], state)
            before = torch.bernoulli(torch.sigmoid(logits[0, -1:] / temperature), generator=generator)
            drawn.append(before)
    network.train(training)
    return torch.cat(drawn)


def sample_command(arguments: list[str]) -> int:
    """Draws a piece from a run, and writes it."""
    parser = ArgumentParser(prog="fastladder sample music", description=__doc__, exit_on_error=False)
    parser.add_argument("--run", type=user_path, required=True, help="folder of a run of an experiment with music")
    parser.add_argument("--midi", type=user_path, help="MIDI file to go on from; else the piece begins from nothing")
    parser.add_argument("--frame", type=str, default="eighth", help="a time step: quarter, eighth or sixteenth")
    parser.add_argument("--steps", type=int, default=64, help="how many time steps to draw")
    parser.add_argument("--temperature", type=float, default=1.0, help="below 1: what is likely becomes likelier")
    parser.add_argument("--seed", type=int, default=0, help="another one, another piece")
    parser.add_argument("--output", type=user_path, default="sample", help="folder that it is written to")
    options = parse(parser, arguments)
    if options.steps < 1:
        raise RunError(f"steps: got {options.steps}, needs 1 or more")
    if not options.temperature > 0:
        raise RunError(f"temperature: got {options.temperature}, needs a number above 0")
    network = read_run_of(MUSIC, Path(options.run)).task().evaluated
    if not isinstance(network, NextStep):
        raise RunError(f"run: {options.run} is of a network that does not predict the next step, needs one that does")
    folder = Path(options.output)
    try:
        seconds_per_step = check_frame(options.frame) * 60 / QUARTERS_PER_MINUTE
        given = read_midi(options.midi, options.frame) if options.midi else torch.zeros(0, KEYS)
        generator = torch.Generator().manual_seed(options.seed)
        drawn = sample(network, given, options.steps, temperature=options.temperature, generator=generator)
        open_folder(folder, "--output")
        piece = torch.cat([given, drawn])
        write_midi(folder / "sample.mid", piece, options.frame, QUARTERS_PER_MINUTE)
        write_wav(folder / "sample.wav", synthesize(piece, seconds_per_step))
    except ValueError as error:
        raise RunError(str(error)) from None
    title = f"{len(given)} time steps given, {len(drawn)} drawn" if len(given) else f"{len(drawn)} time steps drawn"
    plot_rolls(folder / "sample.png", [(title, torch.cat([GIVEN * given, MADE * drawn]))])
    Console().print(f"{title}: sample.mid, sample.wav and sample.png in {folder}", highlight=False, soft_wrap=True)
    return 0
