"""The likelihood of grey images as an experiment: a ladder VAE or a hierarchical one."""

from pathlib import Path

from fastladder.experiments.effects import Void
from fastladder.experiments.experiment import Configuration, Experiment, Options, data_of
from fastladder.experiments.latent_images.data import SHAPES, LatentImagesData
from fastladder.experiments.latent_images.metrics import LABELS
from fastladder.experiments.latent_images.task import LatentImagesTask


def make_task(configuration: Configuration) -> LatentImagesTask:
    """The task with its initial weights."""
    shape = SHAPES[configuration["data"].get("source", "bundled")]
    return LatentImagesTask(shape, **configuration["model"], seed=configuration["seed"])


def why_no_files(configuration: Configuration) -> str:
    """As `Experiment.why_no_files`: scikit-learn has its digits in itself."""
    source = configuration["data"].get("source", "bundled")
    return f"data.source {source!r}, which comes with scikit-learn" if source == "bundled" else ""


VOIDS = (
    Void(
        ("--model.free_bits",),
        lambda options: options.model.importance > 1,
        "--model.importance 1",
    ),
)
OPTIONS = Options(
    "Trains a network with several layers of latent variables on grey images.",
    LatentImagesData,
    LatentImagesTask,
    data_skipped=frozenset({"folder", "download", "seed"}),
    model_skipped=frozenset({"shape", "seed"}),
    files=Path(__file__).parent / "configs",
    voids=VOIDS,
)
LATENT_IMAGES = Experiment(
    "latent_images",
    data_of(LatentImagesData),
    make_task,
    why_no_files,
    labels=LABELS,
    options=OPTIONS,
)
