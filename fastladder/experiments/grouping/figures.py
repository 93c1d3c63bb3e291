"""Pictures of groups, iteration by iteration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser
from matplotlib.colors import TABLEAU_COLORS, to_rgb
from matplotlib.figure import Figure
from rich.console import Console
from torch import Tensor

from fastladder.data import GroupedImages
from fastladder.experiments.configuration import add_data_arguments, parse
from fastladder.experiments.errors import RunError
from fastladder.experiments.experiment import Experiment
from fastladder.experiments.files import write_figure, write_json
from fastladder.experiments.grouping.metrics import adjusted_mutual_information, scored
from fastladder.experiments.images import ImageData
from fastladder.experiments.option_types import picture_path, user_path
from fastladder.experiments.saved import read_run_of
from fastladder.info import environment
from fastladder.models import RTagger, Tagger

COLOURS = np.array([to_rgb(name) for name in TABLEAU_COLORS])  # of the groups
POOL = 100  # images from which examples are chosen
ITERATIONS = 5
GAP = 1  # pixels between pictures

# From changes of a checkpoint's configuration, section by section, to its network and the data.
Load = Callable[[Mapping[str, Mapping[str, Any]]], tuple[Tagger | RTagger, ImageData]]


@dataclass(frozen=True)
class Example:
    """One image and what became of it.

    Attributes:
        title: what it shows.
        image: (H, W).
        masks, means: (T, K, H, W), after every iteration.
        score: the adjusted mutual information of the last mask.
    """

    title: str
    image: np.ndarray
    masks: np.ndarray
    means: np.ndarray
    score: float

    @property
    def reconstruction(self) -> np.ndarray:
        """(H, W): what the last iteration takes the image for."""
        return (self.masks[-1] * self.means[-1]).sum(0)

    @property
    def coloured(self) -> np.ndarray:
        """(H, W, 3): the reconstruction, every pixel in the colour of the groups that claim it."""
        return tint(self.masks[-1], self.reconstruction)


def tint(masks: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """(H, W, 3): masks (K, H, W) in the colours of their groups, faded to white where the brightness (H, W) is 0."""
    colours = np.tensordot(masks, COLOURS[np.arange(len(masks)) % len(COLOURS)], (0, 0))
    return 1 - np.clip(brightness, 0, 1)[..., None] * (1 - colours)


def examples(
    network: Tagger | RTagger,
    images: GroupedImages,
    title: str,
    ranks: Sequence[float],
    *,
    groups: int | None = None,
    iterations: int = ITERATIONS,
) -> list[Example]:
    """Groups the first images, and returns those at some ranks by their score.

    Args:
        network: what groups them.
        images: which.
        title: of the examples.
        ranks: 0 is the best of them, 1 the worst.
        groups: K, where it is not that of training.
        iterations: T.
    """
    images = first_scored(images)
    masks, means = run(network, images, groups=groups, iterations=iterations)
    scores = adjusted_mutual_information(masks[:, -1], images.groups)
    order = scores.argsort(descending=True)
    chosen = [int(order[round(rank * (len(order) - 1))]) for rank in ranks]
    return [
        Example(title, images.images[i].numpy(), masks[i].numpy(), means[i].numpy(), scores[i].item()) for i in chosen
    ]


def removal(network: Tagger | RTagger, images: GroupedImages, group: int) -> list[Example]:
    """The best grouped of the first images, and what the network fills in where the group of one object is removed.

    Args:
        network: what groups them.
        images: which.
        group: the true group of the object.
    """
    images = first_scored(images)
    masks, _ = run(network, images)
    best = int(adjusted_mutual_information(masks[:, -1], images.groups).argmax())
    claimed = (masks[best, -1] * (images.groups[best] == group)).flatten(1).sum(1)
    remove = torch.zeros(len(images), len(claimed), dtype=torch.bool)
    remove[:, claimed.argmax()] = True
    shown = []
    for title, removed in (("E1", None), ("E2: one group\nremoved", remove)):
        masks, means = run(network, images, remove=removed)
        score = adjusted_mutual_information(masks[best : best + 1, -1], images.groups[best : best + 1]).item()
        image = images.images[best].numpy()
        shown.append(Example(title, image, masks[best].numpy(), means[best].numpy(), score))
    return shown


def first_scored(images: GroupedImages) -> GroupedImages:
    """The first images, without those of which no pixel is scored."""
    images = images.subset(slice(POOL))
    return images.subset(scored(images.groups).nonzero()[:, 0])


def run(
    network: Tagger | RTagger, images: GroupedImages, *, iterations: int = ITERATIONS, **options: Any
) -> tuple[Tensor, Tensor]:
    """Masks and means (M, T, K, H, W) of images as they are, always from the same first masks."""
    training = network.training
    with torch.no_grad():
        output = network.eval()(
            images.images, iterations=iterations, generator=torch.Generator().manual_seed(0), **options
        )
    network.train(training)
    return torch.stack(output.masks, 1), torch.stack(output.means, 1)


def plot_groups(shown: Sequence[Example], path: Path) -> None:
    """Draws examples: left the image, its reconstruction and its groups; right mask and mean after every iteration.

    Args:
        shown: all with as many iterations.
        path: of the picture.
    """
    strips = [strip(example) for example in shown]
    width = max(picture.shape[1] for picture, _ in strips)
    height = sum(picture.shape[0] for picture, _ in strips)
    figure = Figure(figsize=(14, 12.5 * height / width * 1.08 + 0.4), layout="constrained")
    for axis, example, (picture, places) in zip(
        figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strips, strict=True
    ):
        axis.imshow(np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=1))
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
        axis.set_ylabel(f"{example.title}\nAMI {example.score:.2f}", rotation=0, ha="right", va="center")
        if example is shown[0]:
            titles = [
                "image",
                "reconstruction",
                "groups",
                *(f"m, z after {iteration + 1}" for iteration in range(len(places) - 3)),
            ]
            for title, place in zip(titles, places, strict=True):
                axis.text(place, -3, title, ha="center", fontsize=9)
    write_figure(path, figure, dpi=110, bbox_inches="tight")


def strip(example: Example) -> tuple[np.ndarray, list[float]]:
    """An example as one picture (H', W', 3), and the middles of what stands in it side by side."""
    parts = [tile([[each.repeat(2, 0).repeat(2, 1)]]) for each in (1 - example.image, 1 - example.reconstruction)]
    parts.append(tile([[example.coloured.repeat(2, 0).repeat(2, 1)]]))
    for masks, means in zip(example.masks, example.means, strict=True):
        parts.append(tile([[tint(one, each) for one, each in alone(row)] for row in (masks, means)]))
    height = max(part.shape[0] for part in parts)
    parts = [np.pad(part, ((0, height - part.shape[0]), (0, 4), (0, 0)), constant_values=1) for part in parts]
    ends = np.cumsum([part.shape[1] for part in parts])
    return np.concatenate(parts, 1), [end - part.shape[1] / 2 - 2 for end, part in zip(ends, parts, strict=True)]


def alone(pictures: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each of the pictures (K, H, W), and the masks (K, H, W) of an image that is all its group's."""
    groups = np.eye(len(pictures))[:, :, None, None]
    return [(group * np.ones_like(pictures), picture) for group, picture in zip(groups, pictures, strict=True)]


def tile(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Pictures (H, W) or (H, W, 3) of one size, row by row, with grey lines between and around them."""
    height, width = rows[0][0].shape[:2]
    canvas = np.full((len(rows) * (height + GAP) + GAP, len(rows[0]) * (width + GAP) + GAP, 3), 0.75)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            top, left = row * (height + GAP) + GAP, column * (width + GAP) + GAP
            picture = np.clip(picture, 0, 1)
            canvas[top : top + height, left : left + width] = picture if picture.ndim == 3 else picture[..., None]
    return canvas


def draw(
    name: str,
    description: str | None,
    experiment: Experiment[Any, Any],
    dataset: str,
    make: Callable[[Load], list[Example]],
    arguments: list[str],
) -> int:
    """Draws a figure of a checkpoint, and stores what it was drawn of."""
    parser = ArgumentParser(prog=f"fastladder figure {name}", description=description, exit_on_error=False)
    parser.add_argument("--checkpoint", type=user_path, help=f"or run, of a Tagger trained on {dataset}", required=True)
    parser.add_argument(
        "--output", type=picture_path, default=f"{name}.png", help="the picture; a .json goes beside it"
    )
    add_data_arguments(parser)
    options = parse(parser, arguments)
    path, output = Path(options.checkpoint), Path(options.output)
    saved = read_run_of(experiment, path)
    configuration = saved.configuration
    if configuration["data"].get("dataset") != dataset:
        raise RunError(f"{path}: is not of a Tagger trained on {dataset}")

    def load(changes: Mapping[str, Mapping[str, Any]]) -> tuple[Tagger | RTagger, ImageData]:
        changed = {name: {**configuration.get(name, {}), **values} for name, values in changes.items()}
        task, data = saved.build(changed, data_dir=options.data_dir, download=options.download)
        if not isinstance(task.evaluated, Tagger | RTagger):
            raise RunError(f"{path}: holds a network of the class {type(task.evaluated).__name__}, which has no groups")
        return task.evaluated, data

    shown = make(load)
    plot_groups(shown, output)
    result = {
        "scores": [[example.title.replace("\n", " "), example.score] for example in shown],
        "checkpoint_configuration": configuration,
        "environment": environment(configuration["seed"]),
    }
    write_json(output.with_suffix(".json"), result)
    Console().print(f"{output}: {len(shown)} examples", highlight=False, soft_wrap=True)
    return 0
