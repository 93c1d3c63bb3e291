"""What the bottom of the decoder knows of the digit behind the bars: Fig. 4 of Recurrent Ladder Networks."""

from pathlib import Path
from typing import cast

import torch
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

from fastladder.data import MovingDigitSequence
from fastladder.experiments.configuration import add_data_arguments, parse
from fastladder.experiments.errors import RunError
from fastladder.experiments.files import write_json
from fastladder.experiments.occluded_moving_digits.data import MovingDigitsData
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.occluded_moving_digits.figures import plot_predictions
from fastladder.experiments.option_types import picture_path, user_path
from fastladder.experiments.saved import read_run_of
from fastladder.info import environment
from fastladder.models import RLadder
from fastladder.nn import ConvG3


class Probe(nn.Module):
    """Reads the unoccluded next frame off the neurons that predict the observed one.

    A convolution, trained on the ground truth, reads the hidden layer u of the bottom decoder cell. No gradient reaches
    the network, whose weights and running statistics stay as they are: the probe shows what the network knows.

    Args:
        network: predicts; its bottom decoder cell is a `fastladder.nn.ConvG3`.
        kernel_size: of the convolution, odd.
    """

    def __init__(self, network: RLadder, kernel_size: int = 3) -> None:
        super().__init__()
        if not network.predict:
            raise RunError("network: does not predict, so nothing at the bottom of its decoder can be probed")
        self.network = network.eval().requires_grad_(False)
        self.cell = cast(ConvG3, network.decoder["0"])
        self.readout = nn.Conv2d(self.cell.hidden_size, network.input_shape[0], kernel_size, padding="same")

    def train(self, mode: bool = True) -> "Probe":
        """Only the readout is trained."""
        self.readout.train(mode)
        return self

    def forward(self, frames: Tensor) -> Tensor:
        """What the network knows of each next frame.

        Args:
            frames: (N, T, C, H, W), observed.

        Returns:
            (N, T, C, H, W), at t of frame t + 1 without its occluders.
        """
        hidden: list[Tensor] = []
        projection = self.cell.output_projection
        with torch.no_grad(), projection.register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0])):
            self.network(frames)
        return torch.stack([self.readout(u) for u in hidden], 1)

    def error(self, batch: MovingDigitSequence) -> Tensor:
        """The mean square error against the unoccluded frames 2 to T."""
        return functional.mse_loss(self(batch.observed)[:, :-1], batch.clean[:, 1:])


def train_probe(probe: Probe, data: MovingDigitsData, epochs: int, console: Console) -> float:
    """Trains the readout with Adam. Returns its mean square error on the test sequences."""
    optimizer = torch.optim.Adam(probe.readout.parameters(), 1e-2)
    data.setup("fit")
    for _ in track(range(epochs), "training the probe", console=console):
        for batch in data.train_dataloader():
            optimizer.zero_grad()
            probe.error(batch).backward()
            optimizer.step()
    with torch.no_grad():
        errors = [(probe.error(batch).item(), len(batch.label)) for batch in data.test_dataloader()]
    return sum(error * count for error, count in errors) / sum(count for _, count in errors)


def figure4_command(arguments: list[str]) -> int:
    """Trains the probe of a run's network and draws Fig. 4: truth, observed, predicted, probe."""
    parser = ArgumentParser(
        prog="fastladder figure rladder-figure4",
        description=figure4_command.__doc__,
        exit_on_error=False,
    )
    parser.add_argument("--checkpoint", type=user_path, help="or run, of an RLadder that predicts", required=True)
    parser.add_argument(
        "--output", type=picture_path, default="rladder-figure4.png", help="the picture; a .json goes beside it"
    )
    parser.add_argument("--epochs", type=int, default=2, help="of the probe's training")
    add_data_arguments(parser)
    options = parse(parser, arguments)
    saved, output = read_run_of(MOVING_DIGITS, Path(options.checkpoint)), Path(options.output)
    task, data = saved.build(data_dir=options.data_dir, download=options.download)
    console = Console()
    probe = Probe(task.evaluated)
    error = train_probe(probe, data, options.epochs, console)
    plot_predictions(task.evaluated, data.test, output, probe=probe)
    result = {
        "probe_error": error,
        "checkpoint_configuration": saved.configuration,
        "environment": environment(saved.configuration["seed"]),
    }
    write_json(output.with_suffix(".json"), result)
    console.print(f"{output}: the probe's mean square error is {error:.5f}", highlight=False, soft_wrap=True)
    return 0
