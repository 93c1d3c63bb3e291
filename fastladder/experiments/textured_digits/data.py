"""Images of textured digits (Tagger, section 3.2), and of thick ones (Recurrent Ladder Networks, section 4.2)."""

from collections.abc import Callable
from typing import Any, Literal

from fastladder.data import (
    GroupedSplits,
    Textures,
    brodatz,
    procedural_textures,
    scikit_image_textures,
    texture_splits,
    thick_digit_splits,
)
from fastladder.data.thick_digits import THICK_SIZES
from fastladder.experiments.classification.data import LabelledData
from fastladder.experiments.experiment import Configuration, source_not_mnist
from fastladder.experiments.images import TEST_BATCH, ImageData

DATASETS = ("textures1", "textures2", "thick_digits")
SIZES = {"mnist": 28, "bundled": 20}  # of thin digits
# Of thick digits, from the folder of the user's files; so large that a stroke shows more than one repetition.
TEXTURES: dict[str, Callable[[str | None], Textures]] = {
    "brodatz": brodatz,
    "scikit_image": lambda folder: scikit_image_textures().halved(),
    "procedural": lambda folder: procedural_textures(),
}


def image_shape(configuration: Configuration) -> tuple[int, int]:
    """(H, W)."""
    data = configuration["data"]
    size = (THICK_SIZES if data.get("dataset") == "thick_digits" else SIZES)[data.get("source", "mnist")]
    return size, size


def why_no_files(configuration: Configuration) -> str:
    """As `fastladder.experiments.experiment.Experiment.why_no_files`: the plates of Brodatz are files too."""
    return "" if configuration["data"].get("textures") == "brodatz" else source_not_mnist("mnist")(configuration)


def splits_of(
    dataset: Literal["textures1", "textures2", "thick_digits"] = "textures1",
    source: Literal["bundled", "mnist"] = "mnist",
    textures: Literal["brodatz", "scikit_image", "procedural"] | None = None,
    sizes: tuple[int, int, int] = (50_000, 10_000, 10_000),
    folder: str | None = None,
    download: bool = False,
) -> GroupedSplits:
    """The images.

    Args:
        dataset: "textures1" or "textures2", one or two digits with textures that are waves; or "thick_digits", one that
            is thick.
        source: of the digits: "bundled" or "mnist".
        textures: of thick digits: plates of Brodatz, scikit-image's photographs, or what a program draws.
        sizes: how many images train, valid and test have.
        folder: where MNIST and the plates lie; None looks at FASTLADDER_DATA.
        download: fetch MNIST into that folder if it is not there.

    Raises:
        ValueError: an argument is out of range; the message names it.
        DataError: a file is missing or damaged.
    """
    if dataset not in DATASETS:
        raise ValueError(f"dataset: got {dataset!r}, needs one of {', '.join(DATASETS)}")
    train, valid, test = sizes
    if dataset != "thick_digits":
        if textures is not None:
            raise ValueError(
                f"textures: got {textures!r}, has no effect with dataset {dataset!r}, only with 'thick_digits'"
            )
        return texture_splits(source, int(dataset[-1]), (train, valid, test), folder=folder, download=download)
    if textures not in TEXTURES:
        raise ValueError(f"textures: got {textures!r}, needs one of {', '.join(TEXTURES)}")
    if download and source != "mnist":
        raise ValueError(f"download: got True, has no effect with source {source!r}, only with 'mnist'")
    chosen = TEXTURES[textures](folder)
    if source == "bundled":
        chosen = chosen.halved()
    return thick_digit_splits(source, chosen, (train, valid, test), folder=folder, download=download)


def grouped_digits(*, batch_size: int = 100, seed: int = 0, **images: Any) -> ImageData:
    """Batches for a training without labels.

    Args:
        batch_size, seed: as for `fastladder.experiments.images.ImageData`.
        images: as for `splits_of`.
    """
    return ImageData(splits_of(**images), batch_size, seed)


def labelled_digits(
    *,
    batch_size: int = 100,
    labels: int | None = None,
    unlabelled: bool = False,
    test_batch: int = TEST_BATCH,
    seed: int = 0,
    **images: Any,
) -> LabelledData:
    """Batches for a training with labels.

    Args:
        batch_size, labels, unlabelled, test_batch, seed: as for
            `fastladder.experiments.classification.data.LabelledData`.
        images: as for `splits_of`.
    """
    return LabelledData(splits_of(**images), batch_size, labels, unlabelled, seed, test_batch=test_batch)
