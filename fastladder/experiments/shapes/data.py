"""Images of three binary shapes (Tagger, section 3.1)."""

from typing import Literal

import numpy as np

from fastladder.data import draw_shapes, shapes
from fastladder.experiments.images import ImageData

IMAGE_SHAPE = (20, 20)
TRANSFER_SEED = 1_000_003  # of test images with another number of objects than the training's


class ShapesData(ImageData):
    """Batches of images of shapes.

    Args:
        dataset: its name in configurations.
        sizes: how many images train, valid and test have.
        batch_size, seed: as for `fastladder.experiments.images.ImageData`.
        test_objects: shapes in a test image, where that is not 3.
    """

    def __init__(
        self,
        dataset: Literal["shapes"] = "shapes",
        sizes: tuple[int, int, int] = (50_000, 10_000, 10_000),
        batch_size: int = 100,
        test_objects: int = 3,
        seed: int = 0,
    ) -> None:
        if dataset != "shapes":
            raise ValueError(f"dataset: got {dataset!r}, needs 'shapes'")
        train, valid, test = sizes
        splits = shapes((train, valid, test))
        if test_objects != 3:
            splits = splits._replace(test=draw_shapes(test, test_objects, np.random.RandomState(TRANSFER_SEED)))
        super().__init__(splits, batch_size, seed)
