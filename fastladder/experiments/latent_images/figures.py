"""Pictures of how networks with latent variables learn, and of what their latent variables hold."""

from collections.abc import Iterator, Mapping, Sequence
from math import isqrt, nan
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from fastladder.experiments.files import write_figure
from fastladder.experiments.grouping.figures import tile
from fastladder.experiments.latent_images.metrics import ACTIVE
from fastladder.experiments.results import mean_and_deviation

EPOCHS = 100  # that are drawn of each unit, at most
BLUES = ListedColormap(colormaps["Blues"](np.linspace(0.25, 1, 256))).with_extremes(under="white")


class Likelihoods(NamedTuple):
    """Log-likelihoods of a system with so many layers, in nats, of every seed."""

    layers: int
    values: list[float]
    complete: bool  # whether all came to the end of their training


class Bounds(NamedTuple):
    """The bound on the log-likelihood in nats, epoch by epoch."""

    epochs: list[int]
    train: list[float]
    test: list[float]


class Units(NamedTuple):
    """The divergence of every unit of every layer, epoch by epoch."""

    epochs: list[int]
    nats: list[Tensor]  # (epochs, latents) a layer, lowest first; its units from the largest in the last epoch on


class Components(NamedTuple):
    """Samples of the posterior of every layer by their principal components."""

    layers: list[Tensor]  # (2, M) a layer, lowest first; (1, M) of one unit
    explained: list[float]  # which share of the variance of a layer they have together
    labels: Tensor  # (M,)


def plot_likelihoods(path: Path, systems: Mapping[str, Sequence[Likelihoods]]) -> None:
    """Draws Fig. 3: log-likelihoods against the number of layers, a line a system, with deviations over seeds."""
    figure = Figure(figsize=(7, 5), layout="constrained")
    axis = figure.subplots()
    for label, points in systems.items():
        layers = [point.layers for point in points]
        means, deviations = zip(*(mean_and_deviation(point.values) for point in points), strict=True)
        spread = [nan if deviation is None else deviation for deviation in deviations]
        bars = axis.errorbar(layers, means, spread, fmt="o-", capsize=3, label=label)
        for point, mean in zip(points, means, strict=True):
            if not point.complete:
                axis.plot(point.layers, mean, "o", color=bars[0].get_color(), markerfacecolor="white", zorder=3)
    if not all(point.complete for points in systems.values() for point in points):
        axis.errorbar([], [], fmt="o", color="0.4", markerfacecolor="white", label="training not at its end")
    axis.set(xlabel="layers of latent variables", ylabel="log p(x) of the test images (nats)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(axis)
    write_figure(path, figure, dpi=120)


def plot_bounds(path: Path, runs: Mapping[str, Bounds]) -> None:
    """Draws Fig. 4: the bounds of the images that runs learn from, full lines, and of those of the test, dashed.

    What is below all that they have after a tenth of their epochs is cut off.
    """
    figure = Figure(figsize=(7, 5), layout="constrained")
    axis = figure.subplots()
    floor, ceiling = [], []
    for colour, (label, run) in enumerate(runs.items()):
        axis.plot(run.epochs, run.train, color=f"C{colour}", label=label)
        axis.plot(run.epochs, run.test, color=f"C{colour}", linestyle="--")
        later = slice(len(run.epochs) // 10, None)
        floor.append(min(*run.train[later], *run.test[later]))
        ceiling.append(max(*run.train, *run.test))
    for style, label in (("-", "training images"), ("--", "test images")):
        axis.plot([], [], color="0.4", linestyle=style, label=label)
    margin = 0.05 * (max(ceiling) - min(floor)) or 1.0
    axis.set(xlabel="epoch", ylabel="bound on log p(x) (nats)", ylim=(min(floor) - margin, max(ceiling) + margin))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(axis)
    write_figure(path, figure, dpi=120)


def plot_units(path: Path, runs: Mapping[str, Units]) -> None:
    """Draws Fig. 5: the divergence of every unit by epoch, a row a run and a column a layer; white is inactive."""
    most = max(nats.max().item() for run in runs.values() for nats in run.nats)
    colours = LogNorm(ACTIVE, max(most, 10 * ACTIVE))
    figure, axes = panels(runs, max(len(run.nats) for run in runs.values()), "unit", height=1.8)
    for run, row in zip(runs.values(), axes, strict=True):
        shown = np.unique(np.linspace(0, len(run.epochs) - 1, EPOCHS).round().astype(int))
        epochs = np.array(run.epochs)[shown]
        edges = [epochs[0] - 0.5, *(epochs[1:] + epochs[:-1]) / 2, epochs[-1] + 0.5]
        for axis, nats in layers_of(row, run.nats):
            count = nats.shape[1]
            values = nats[shown].T.clamp(min=ACTIVE / 10)
            axis.pcolormesh(edges, np.arange(count + 1) + 0.5, values, cmap=BLUES, norm=colours)
            axis.set_yticks(sorted({1, count}))
            axis.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
            axis.tick_params(labelsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    scale: dict[str, Any] = {"extend": "min", "pad": 0.02, "aspect": 40, "format": lambda nats, _: f"{nats:g}"}
    figure.colorbar(ScalarMappable(colours, BLUES), ax=axes, label="KL(q || p) of a unit (nats)", **scale)
    write_figure(path, figure, dpi=120)


def plot_layers(
    path: Path, divergences: Mapping[str, Sequence[float]], injected: Mapping[int, Tensor], label: str
) -> None:
    """Draws Fig. 6: how far the posterior of every layer is from N(0, I), and images from samples of N(0, I) there.

    Args:
        path: of the picture.
        divergences: of each run in nats, lowest layer first.
        injected: by layer, counted from 1, (M, H, W) with ink as 1.
        label: of the run that they are from.
    """
    figure = Figure(figsize=(max(7.0, 2.0 * len(injected)), 6.0), layout="constrained")
    grid = figure.add_gridspec(2, len(injected), height_ratios=(1.35, 1))
    axis = figure.add_subplot(grid[0, :])
    layers = max(map(len, divergences.values()))
    width = 0.8 / len(divergences)
    for position, (name, nats) in enumerate(divergences.items()):
        places = np.arange(len(nats)) + (position - (len(divergences) - 1) / 2) * width
        axis.bar(places, nats, width, label=name)
    axis.set_xticks(range(layers), layer_names(layers))
    axis.set_ylabel("KL(q || N(0, I)) (nats)")
    axis.set_title("a) divergence of each layer from a standard normal distribution", fontsize=10, loc="left")
    finish(axis)
    for column, (layer, images) in enumerate(injected.items()):
        axis = figure.add_subplot(grid[1, column])
        draw_images(axis, images)
        axis.set_title(f"{'b) ' if column == 0 else ''}drawn at $z_{layer}$", fontsize=10, loc="left")
        if column == 0:
            axis.set_ylabel(in_lines(label), fontsize=9)
    write_figure(path, figure, dpi=120)


def plot_components(path: Path, runs: Mapping[str, Components]) -> None:
    """Draws Fig. 7: samples of the posterior of every layer by their two principal components, coloured by class.

    Of a layer of one unit the class stands in place of a second component. Of each component the outermost hundredths
    may lie outside: single images can be far away.
    """
    classes = 1 + max(int(run.labels.max()) for run in runs.values())
    palette = colormaps["tab10"](range(classes)) if classes <= 10 else colormaps["turbo"](np.linspace(0, 1, classes))
    colours, edges = ListedColormap(palette), BoundaryNorm(np.arange(classes + 1) - 0.5, classes)
    figure, axes = panels(runs, max(len(run.layers) for run in runs.values()), "second component", height=2.1)
    for run, row in zip(runs.values(), axes, strict=True):
        for axis, places in layers_of(row, run.layers):
            x, y = places if len(places) == 2 else (places[0], run.labels)
            axis.scatter(x, y, s=5, c=run.labels, cmap=colours, norm=edges, linewidths=0, alpha=0.8)
            axis.set_xlim(middle_of(x))
            if len(places) == 2:
                axis.set_ylim(middle_of(y))
            elif axis is not row[0]:
                axis.set_ylabel("class", fontsize=9)
            axis.tick_params(labelsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("first component")
    ticks = range(0, classes, 1 + classes // 12)
    figure.colorbar(ScalarMappable(edges, colours), ax=axes, label="class", ticks=ticks, pad=0.02, aspect=40)
    write_figure(path, figure, dpi=120)


def plot_images(path: Path, pictures: Mapping[str, Tensor]) -> None:
    """Draws grids of images (M, H, W), ink as 1, beside each other."""
    figure = Figure(figsize=(3.6 * len(pictures), 3.9), layout="constrained")
    axes = figure.subplots(1, len(pictures), squeeze=False)[0]
    for axis, (title, images) in zip(axes, pictures.items(), strict=True):
        draw_images(axis, images)
        axis.set_title(title, fontsize=10)
    write_figure(path, figure, dpi=120)


def draw_images(axis: Axes, images: Tensor) -> None:
    """Draws images (M, H, W), ink as 1, in as many rows as columns; the last ones are left out where M is no square."""
    side = isqrt(len(images))
    rows = (1 - images[: side**2]).unflatten(0, (side, side))
    axis.imshow(tile([list(row) for row in rows.numpy()]), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def middle_of(places: Tensor) -> tuple[float, float]:
    """Limits of an axis with room around all (M,) but the outermost hundredth on either side."""
    low, high = np.percentile(places.numpy(), (1, 99))
    room = 0.2 * (high - low)
    return low - room, high + room


def panels(runs: Mapping[str, Any], layers: int, label: str, *, height: float) -> tuple[Figure, np.ndarray]:
    """A row of panels a run, which is named on the left with the label of the axis, and a column a layer."""
    figure = Figure(figsize=(2.0 * layers + 1.8, height * len(runs) + 0.7), layout="constrained")
    axes: np.ndarray = figure.subplots(len(runs), layers, squeeze=False)
    for axis, run in zip(axes[:, 0], runs, strict=True):
        axis.set_ylabel(f"{in_lines(run)}\n\n{label}", fontsize=9)
    for axis, name in zip(axes[0], layer_names(layers), strict=True):
        axis.set_title(name, fontsize=10)
    return figure, axes


def layers_of(row: Sequence[Axes], layers: Sequence[Any]) -> Iterator[tuple[Axes, Any]]:
    """The panels of a run with what is shown there; those of layers that it does not have stay empty."""
    for axis in row[len(layers) :]:
        axis.set_axis_off()
    yield from zip(row, layers, strict=False)


def in_lines(label: str) -> str:
    """The label of a run in lines of at most 20 characters, a new one after every comma."""
    return ",\n".join(fill(part, 20) for part in label.split(", "))


def layer_names(layers: int) -> list[str]:
    """What the layers are called, lowest first."""
    return [f"$z_{layer}$" for layer in range(1, layers + 1)]


def finish(axis: Axes) -> None:
    """What all diagrams have in common: the legend stands above, and there is no frame."""
    axis.spines[["top", "right"]].set_visible(False)
    handles, labels = axis.get_legend_handles_labels()
    columns = 2 if max(map(len, labels)) < 45 else 1
    figure: Any = axis.figure
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False, fontsize=9)
