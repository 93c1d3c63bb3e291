"""Message passing in Gaussian chains: appendices B and C of Recurrent Ladder Networks, corrected and as printed."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from jsonargparse import ArgumentParser
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from torch import Tensor

from fastladder.experiments.configuration import parse
from fastladder.experiments.files import write_figure
from fastladder.experiments.option_types import picture_path
from fastladder.inference import (
    Gains,
    GaussianChain,
    exact_posterior,
    simulate,
    static_sweep,
    temporal_prediction,
    temporal_sweep,
    variational_variances,
)

STATIC = GaussianChain((1.0, 1.5, 0.7), (0.5, 1.0, 1.0, 2.0), top_mean=0.5)
"""Appendix B: the corrupted x, and x, y, z."""

TEMPORAL = GaussianChain((1.0, 0.8, 0.9), (1.0, 0.8, 0.6, 0.5), (0.5, 0.7, 0.9))
"""Appendix C with one level more than the three of its example."""

SWEEPS = 40
DRAWS = 1000
Sweep = Callable[[Tensor], Tensor]  # from means (N, L) to means (N, L)


class Convergence(NamedTuple):
    """Root mean squares over draws and levels.

    Attributes:
        corrected: distances from the exact posterior means after 0, ..., SWEEPS sweeps.
        printed: the same with the coefficients as the paper prints them.
        scale: the size of the exact posterior means.
    """

    corrected: list[float]
    printed: list[float]
    scale: float


def static_sweep_as_printed(chain: GaussianChain, observation: Tensor, means: Tensor) -> Tensor:
    """One pass up and down by (17)-(19) as they stand, for the three levels of appendix B.

    (17) has w_y for w_x. The model knows no w_y; it is read as w_yz, the only other weight.
    """
    _, w_x, w_yz = chain.weights
    s_x, s_y, s_z = (1 - v / own for v, own in zip(variational_variances(chain), chain.variances[1:], strict=True))
    m_x, m_y, m_z = means.unbind(-1)
    m_x = s_x * observation + (1 - s_x) * w_yz * m_y
    m_y = s_y * m_x / w_x + (1 - s_y) * w_yz * m_z
    m_z = s_z * m_y / w_yz + (1 - s_z) * chain.top_mean
    m_y = s_y * m_x / w_x + (1 - s_y) * w_yz * m_z
    m_x = s_x * observation + (1 - s_x) * w_yz * m_y
    return torch.stack([m_x, m_y, m_z], -1)


def gains_as_printed(chain: GaussianChain) -> Gains:
    """The factors (1 - s_l) / w_{l-1,l} of (28) and s_l w_{l,l+1} of (30) as they stand, s_l and 1 - s_l swapped."""
    s = [1 - v / own for v, own in zip(variational_variances(chain), chain.variances[1:], strict=True)]
    up = tuple((1 - gate) / weight for gate, weight in zip(s, chain.weights, strict=True))
    down = tuple(gate * weight for gate, weight in zip(s, chain.weights[1:], strict=False))
    return Gains(up, down)


def static_convergence(seed: int = 0) -> Convergence:
    """Iterates in `STATIC`, from means of 0, for draws from that model."""
    observation = simulate(STATIC, DRAWS, 1, torch.Generator().manual_seed(seed))[:, 0, 0]
    exact, _ = exact_posterior(STATIC, observation)
    start = torch.zeros_like(exact)
    return Convergence(
        corrected=_distances(lambda means: static_sweep(STATIC, observation, means), start, exact),
        printed=_distances(lambda means: static_sweep_as_printed(STATIC, observation, means), start, exact),
        scale=_size(exact),
    )


def temporal_convergence(seed: int = 0) -> Convergence:
    """Iterates in `TEMPORAL`, from the prediction, for the last step of series whose step before it is known."""
    series = simulate(TEMPORAL, DRAWS, 20, torch.Generator().manual_seed(seed))
    past, observation = series[:, -2, 1:], series[:, -1, 0]
    exact, _ = exact_posterior(TEMPORAL, observation, past)
    start = temporal_prediction(TEMPORAL, past)[:, 1:]

    def distances(gains: Gains) -> list[float]:
        return _distances(lambda means: temporal_sweep(TEMPORAL, gains, observation, past, means), start, exact)

    return Convergence(distances(Gains.of(TEMPORAL)), distances(gains_as_printed(TEMPORAL)), _size(exact))


def plot_message_passing(path: Path) -> None:
    """Draws the distance from the exact posterior means over sweeps: static and temporal, corrected and as printed.

    Args:
        path: of the picture.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, static_convergence(), r"(17) as printed, its $w_y$ read as $w_{yz}$")
    _draw(right, temporal_convergence(), "(28) and (30) as printed")
    left.set_title("static model (appendix B)", fontsize=11)
    right.set_title("temporal model (appendix C), known past", fontsize=11)
    left.set_ylabel("distance from the exact\nposterior means (root mean square)")
    write_figure(path, figure, dpi=120)


def _distances(sweep: Sweep, start: Tensor, exact: Tensor) -> list[float]:
    distances = [_size(start - exact)]
    means = start
    for _ in range(SWEEPS):
        means = sweep(means)
        distances.append(_size(means - exact))
    return distances


def _size(values: Tensor) -> float:
    return values.square().mean().sqrt().item()


def _draw(axis: Axes, result: Convergence, printed: str) -> None:
    sweeps = range(SWEEPS + 1)
    axis.axhline(result.scale, color="0.4", linestyle=":", label="size of the exact means")
    axis.plot(sweeps, result.printed, ".-", color="C1", label=printed)
    axis.plot(sweeps, result.corrected, ".-", color="C0", label="corrected")
    axis.set(xlabel="sweeps up and down", yscale="log", xlim=(0, SWEEPS))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.85))


def message_passing_command(arguments: list[str]) -> int:
    """Draws how fast message passing comes to the exact posterior mean, and where the printed coefficients end."""
    parser = ArgumentParser(
        prog="fastladder figure message-passing",
        description=message_passing_command.__doc__,
        exit_on_error=False,
    )
    parser.add_argument("--output", type=picture_path, default="message-passing.png", help="the picture")
    options = parse(parser, arguments)
    plot_message_passing(Path(options.output))
    Console().print(options.output, highlight=False, soft_wrap=True)
    return 0
