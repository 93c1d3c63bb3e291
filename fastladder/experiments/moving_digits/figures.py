"""Moving digits in the groups that a network finds: Fig. 7 of Recurrent Ladder Networks, and an animation of it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jsonargparse import ArgumentParser
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from fastladder.data import GroupedSequence
from fastladder.experiments.configuration import add_data_arguments, parse
from fastladder.experiments.files import write, write_figure, write_json
from fastladder.experiments.grouping.figures import GAP, tile, tint
from fastladder.experiments.moving_digits.data import FOLLOWING
from fastladder.experiments.moving_digits.experiment import MOTION
from fastladder.experiments.moving_digits.metrics import agreement
from fastladder.experiments.option_types import picture_path, user_path
from fastladder.experiments.saved import read_run_of
from fastladder.info import environment
from fastladder.models import RTagger

POOL = 100  # sequences from which examples are chosen
RANKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # of those that are shown, from the best grouped to the worst
ROWS = ("frame", "prediction", "groups")
MISSING = 0.93  # grey: there is no prediction of the first frame
SHOWN, LAST = 300, 1500  # milliseconds that a frame of the animation is shown, and its last


@dataclass(frozen=True)
class Clip:
    """One sequence and what became of it.

    Attributes:
        frames: (T, H, W), as they are.
        predictions: (T - 1, H, W), of the second frame to the last.
        masks: (T - 1, K, H, W), of these.
        seen: how many frames the network was shown. From there on it saw its own predictions.
        score: the adjusted mutual information, averaged over the frames that it predicted from what it was shown.
    """

    frames: np.ndarray
    predictions: np.ndarray
    masks: np.ndarray
    seen: int
    score: float

    def column(self, t: int) -> list[np.ndarray]:
        """Frame t, its prediction and its groups, (H, W, 3) each, ink on white."""
        frame = self.frames[t]
        if t == 0:
            return [inked(frame), *[np.full((*frame.shape, 3), MISSING)] * 2]
        return [inked(frame), inked(self.predictions[t - 1]), tint(self.masks[t - 1], self.predictions[t - 1])]


def figure7_command(arguments: list[str]) -> int:
    """Draws how a network predicts and groups moving digits, and how it goes on with them by itself."""
    parser = ArgumentParser(
        prog="fastladder figure rtagger-figure7", description=figure7_command.__doc__, exit_on_error=False
    )
    parser.add_argument("--checkpoint", type=user_path, help="or run, of the table rtagger-motion", required=True)
    help_text = "the picture; an animated .gif and a .json go beside it"
    parser.add_argument("--output", type=picture_path, default="rtagger-figure7.png", help=help_text)
    add_data_arguments(parser)
    options = parse(parser, arguments)
    output = Path(options.output)
    saved = read_run_of(MOTION, Path(options.checkpoint))
    task, data = saved.build(data_dir=options.data_dir, download=options.download)
    data.setup("test")
    shown = clips(task.network, data.test[:POOL], RANKS)
    plot_clips(shown, output)
    animate_clips(shown, output.with_suffix(".gif"))
    result = {
        "scores": [clip.score for clip in shown],
        "checkpoint_configuration": saved.configuration,
        "environment": environment(saved.configuration["seed"]),
    }
    write_json(output.with_suffix(".json"), result)
    Console().print(f"{output}: {len(shown)} sequences", highlight=False, soft_wrap=True)
    return 0


@torch.no_grad()
def clips(network: RTagger, batch: GroupedSequence, ranks: Sequence[float]) -> list[Clip]:
    """Groups sequences, goes on with them, and returns those at some ranks by their score.

    Args:
        network: what groups them.
        batch: sequences whose last `FOLLOWING` frames it is not shown.
        ranks: 0 is the best grouped of them, 1 the worst.
    """
    training = network.training
    network.eval()
    seen = batch.frames.shape[1] - FOLLOWING
    frames = batch.frames[:, :seen]
    output = network.forward_sequence(frames, generator=torch.Generator().manual_seed(0))
    generated = network.generate(frames, FOLLOWING, generator=torch.Generator().manual_seed(0))
    network.train(training)
    masks, means = (torch.stack(each[:-1], 1) for each in (output.masks, output.means))
    scores = agreement(masks, batch.groups[:, 1:seen]).nanmean(1)
    predictions = torch.cat([(masks * means).sum(2), generated.frames], 1).numpy()
    masks = torch.cat([masks, generated.masks], 1)
    order = scores.argsort(descending=True)
    chosen = [int(order[round(rank * (len(order) - 1))]) for rank in ranks]
    return [Clip(batch.frames[i].numpy(), predictions[i], masks[i].numpy(), seen, scores[i].item()) for i in chosen]


def plot_clips(shown: Sequence[Clip], path: Path) -> None:
    """Draws sequences below each other: frame by frame what came, what was predicted, and in which groups.

    Args:
        shown: all with as many frames.
        path: of the picture.
    """
    count, size = len(shown[0].frames), shown[0].frames.shape[1] + GAP
    figure = Figure(figsize=(0.75 * count + 1.5, len(shown) * (0.75 * len(ROWS) + 0.1) + 0.5), layout="constrained")
    for axis, clip in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown, strict=True):
        columns = [clip.column(t) for t in range(count)]
        draw(axis, list(zip(*columns, strict=True)), ROWS, size)
        axis.axvline(clip.seen * size, color="black")
        axis.set_ylabel(f"AMI {clip.score:.2f}")
        if clip is shown[0]:
            axis.set_xticks([(t + 0.5) * size for t in range(count)], [f"{t + 1}" for t in range(count)])
            axis.tick_params(labeltop=True, labelbottom=False)
            axis.text((clip.seen + 0.1) * size, -0.5 * size, "by itself")
    write_figure(path, figure, dpi=110, bbox_inches="tight")


def animate_clips(shown: Sequence[Clip], path: Path) -> None:
    """Writes an animated GIF of sequences beside each other: above what comes, below the prediction in its groups.

    Args:
        shown: all with as many frames.
        path: of the animation.
    """
    size = shown[0].frames.shape[1] + GAP
    pictures = []
    for t in range(1, len(shown[0].frames)):
        columns = [clip.column(t) for clip in shown]
        figure = Figure(figsize=(len(shown) + 1.5, 2.5), dpi=100, layout="constrained")
        axis = figure.subplots()
        draw(axis, [[column[0] for column in columns], [column[2] for column in columns]], ("frame", "predicted"), size)
        from_what = "predicted from those before" if t < shown[0].seen else "the network goes on by itself"
        axis.set_title(f"frame {t + 1}: {from_what}")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]))
    animation = io.BytesIO()
    durations = [SHOWN] * (len(pictures) - 1) + [LAST]
    pictures[0].save(animation, format="GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
    write(path, animation.getbuffer())


def draw(axis: Axes, rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str], size: int) -> None:
    """Draws pictures row by row, with a label for each row; from one to the next are so many pixels."""
    axis.imshow(tile(rows), interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([(row + 0.5) * size for row in range(len(rows))], labels)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def inked(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3): a frame (H, W) as ink on white."""
    return np.repeat(1 - np.clip(frame, 0, 1)[..., None], 3, -1)
