"""Experiments: what the papers train, with configurations, metrics and figures. Needs the extra packages of "train"."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def load(run: str | os.PathLike[str]) -> "nn.Module":
    """The trained network of a run of `fastladder train`, `demo` or `reproduce`, ready for use. No data is needed.

    Args:
        run: the folder of a run, for which the checkpoint is taken that `fastladder evaluate` and `reproduce` take;
            or the path of a checkpoint.

    Returns:
        The network, on the CPU and in evaluation mode: a network of `fastladder.models`, such as
        `fastladder.models.RLadder`, or a `torch.nn.Sequential` of a baseline, from images to logits. Where a Mean
        Teacher is what is evaluated, it is the teacher's.

    Raises:
        fastladder.experiments.errors.RunError: there is no run, it is damaged, or it is of a version whose networks
            were other ones; or a package is absent that it needs.
    """
    from fastladder.experiments.errors import extra_packages

    with extra_packages("load"):
        from fastladder.experiments.saved import load_network  # what it needs takes seconds to import
    return load_network(os.fspath(run))
