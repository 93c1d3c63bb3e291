"""Figures of a run: what the network predicts, and how it learned."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from fastladder.data import MovingDigitSequence, OccludedMovingDigits
from fastladder.experiments.files import write_figure
from fastladder.models import RLadder

ROWS = ("truth", "observed", "predicted", "probe")
BEHIND_BARS = ("observed", "predicted")
GAP, EDGE = 1, 0.75  # pixels between frames, and their grey
BAR = np.array([0.80, 0.86, 0.94])  # what an occluder looks like: it must not be taken for background
MISSING = 0.93  # grey: there is no frame


def plot_predictions(
    network: RLadder,
    dataset: OccludedMovingDigits,
    path: Path,
    count: int = 6,
    probe: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """Draws sequences as Fig. 4 of the paper: at every time step the truth, what was observed, and what was predicted.

    The prediction of frame t + 1, made from the frames up to t, stands below that frame.

    Args:
        network: predicts, and may classify.
        dataset: the first sequence of each class is drawn.
        path: of the picture.
        count: how many sequences, at most one for each class.
        probe: reads the unoccluded next frames off the network, from the observed ones; drawn as a fourth row.
    """
    labels = dataset.labels.tolist()
    first = [labels.index(label) for label in sorted(set(labels))][:count]
    batch = dataset[first]
    training = network.training
    with torch.no_grad():
        output = network.eval()(batch.observed)
        shown = [output.prediction] if probe is None else [output.prediction, probe(batch.observed)]
    network.train(training)
    bars = ~dataset.config.visible().numpy()
    rows = (len(first) + 1) // 2
    figure = Figure(figsize=(10, (2.34 + 0.87 * len(shown)) * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False).flatten()
    for index, axis in enumerate(axes):
        if index >= len(first):
            axis.set_axis_off()
            continue
        sequence = MovingDigitSequence(*(field[index] for field in batch))
        _draw_sequence(axis, sequence, [frames[index] for frames in shown], bars)
        title = f"digit {labels[first[index]]}"
        if output.logits is not None:
            title += f", classified as {output.logits[index, -1].argmax().item()}"
        axis.set_title(title, fontsize=11)
    write_figure(path, figure, dpi=120)


def plot_learning_curves(history: Sequence[dict[str, float]], path: Path) -> None:
    """Draws classification error and next-frame error over the epochs, training and validation.

    Args:
        history: of a `RunRecord`.
        path: of the picture.
    """
    panels = {
        "classification_error": ("classification error (%)", {"random guess": lambda _: 90.0}),
        "next_frame_error": (
            "next-frame error (mean square)",
            {
                "predict zero": lambda epoch: epoch["valid/predict_zero"],
                "copy last frame": lambda epoch: epoch["valid/copy_last"],
            },
        ),
    }
    panels = {metric: panel for metric, panel in panels.items() if f"valid/{metric}" in history[-1]}
    figure = Figure(figsize=(5 * len(panels), 3.6), layout="constrained")
    epochs = [epoch["epoch"] for epoch in history]
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (metric, (label, baselines)) in zip(axes, panels.items(), strict=True):
        axis.plot(epochs, [epoch[f"train/{metric}"] for epoch in history], ".-", color="C0", label="training")
        axis.plot(epochs, [epoch[f"valid/{metric}"] for epoch in history], ".-", color="C1", label="validation")
        for style, (name, value) in zip(("--", ":"), baselines.items(), strict=False):
            axis.axhline(value(history[-1]), color="0.4", linestyle=style, label=name)
        top = max(value(history[-1]) for value in baselines.values())
        axis.set(xlabel="epoch", ylabel=label, ylim=(0, 1.5 * top if metric == "next_frame_error" else 100))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    write_figure(path, figure, dpi=120)


def _draw_sequence(axis: Axes, sequence: MovingDigitSequence, shown: Sequence[Tensor], bars: np.ndarray) -> None:
    """Draws one sequence, row by row; what is shown below it, each (T, 1, H, W), is at t of frame t + 1."""
    count, _, size, _ = sequence.clean.shape
    step = size + GAP
    rows = 2 + len(shown)
    canvas = np.full((rows * step + GAP, count * step + GAP, 3), EDGE)
    for t in range(count):
        frames = [sequence.clean[t], sequence.observed[t], *(frames[t - 1] if t else None for frames in shown)]
        for row, frame in enumerate(frames):
            top, left = row * step + GAP, t * step + GAP
            place = canvas[top : top + size, left : left + size]
            if frame is None:
                place[:] = MISSING
                continue
            place[:] = 1 - frame[0].clamp(0, 1).cpu().numpy()[..., None]
            if ROWS[row] in BEHIND_BARS:
                place[bars] *= BAR
    axis.imshow(canvas, interpolation="nearest")
    axis.set_xticks([t * step + size / 2 for t in range(count)], [f"t = {t + 1}" for t in range(count)])
    axis.set_yticks([row * step + size / 2 for row in range(rows)], ROWS[:rows])
    axis.tick_params(length=0, labelsize=9)
    axis.spines[:].set_visible(False)
