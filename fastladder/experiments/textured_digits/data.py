"""Images of one or two digits with textures (Tagger, section 3.2)."""

from typing import Any, Literal

from fastladder.data import GroupedSplits, texture_splits
from fastladder.experiments.classification.data import LabelledData
from fastladder.experiments.experiment import Configuration
from fastladder.experiments.images import ImageData

DATASETS = ("textures1", "textures2")


def image_shape(configuration: Configuration) -> tuple[int, int]:
    """(H, W)."""
    return (28, 28) if configuration["data"].get("source", "mnist") == "mnist" else (20, 20)


def splits_of(
    dataset: Literal["textures1", "textures2"] = "textures1",
    source: Literal["bundled", "mnist"] = "mnist",
    sizes: tuple[int, int, int] = (50_000, 10_000, 10_000),
    folder: str | None = None,
    download: bool = False,
) -> GroupedSplits:
    """The images.

    Args:
        dataset: "textures1" or "textures2", one or two textured digits in an image.
        source: of the digits: "bundled" or "mnist".
        sizes: how many images train, valid and test have.
        folder: where MNIST lies; None looks at FASTLADDER_DATA.
        download: fetch MNIST into that folder if it is not there.

    Raises:
        ValueError: an argument is out of range; the message names it.
    """
    if dataset not in DATASETS:
        raise ValueError(f"dataset: got {dataset!r}, needs one of {', '.join(DATASETS)}")
    train, valid, test = sizes
    return texture_splits(source, int(dataset[-1]), (train, valid, test), folder=folder, download=download)


def grouped_digits(*, batch_size: int = 100, seed: int = 0, **images: Any) -> ImageData:
    """Batches for a training without labels.

    Args:
        batch_size, seed: as for `fastladder.experiments.images.ImageData`.
        images: as for `splits_of`.
    """
    return ImageData(splits_of(**images), batch_size, seed)


def labelled_digits(
    *, batch_size: int = 100, labels: int | None = None, unlabelled: bool = False, seed: int = 0, **images: Any
) -> LabelledData:
    """Batches for a training with labels.

    Args:
        batch_size, labels, unlabelled, seed: as for `fastladder.experiments.classification.data.LabelledData`.
        images: as for `splits_of`.
    """
    return LabelledData(splits_of(**images), batch_size, labels, unlabelled, seed)
