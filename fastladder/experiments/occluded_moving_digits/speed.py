"""How long a training step takes on each backend."""

import copy
import statistics
import time
from collections.abc import Sequence

import torch

from fastladder import use_backend
from fastladder.data import MovingDigitSequence
from fastladder.experiments.occluded_moving_digits import costs_and_scores
from fastladder.models import RLadder


def training_step_seconds(
    network: RLadder, batch: MovingDigitSequence, backends: Sequence[str] = ("auto", "reference"), rounds: int = 5
) -> dict[str, float]:
    """The median time of a training step, forward, backward and Adam, on each backend.

    The backends are measured alternately, so that whatever else the machine does slows all of them. One round more goes
    first and is not counted.

    Args:
        network: is copied; the original is not changed.
        batch: on the network's device.
        backends: arguments of `fastladder.use_backend`.
        rounds: steps on every backend.

    Returns:
        Seconds for each backend.
    """
    network = copy.deepcopy(network).train()
    optimizer = torch.optim.Adam(network.parameters())
    seconds: dict[str, list[float]] = {backend: [] for backend in backends}
    for _ in range(rounds + 1):
        for backend, measured in seconds.items():
            with use_backend(backend):
                _synchronize(batch)
                start = time.perf_counter()
                optimizer.zero_grad()
                output = network(batch.observed)
                costs_and_scores(output.logits, output.prediction, batch, 1.0)["cost"].backward()
                optimizer.step()
                _synchronize(batch)
                measured.append(time.perf_counter() - start)
    return {backend: statistics.median(measured[1:]) for backend, measured in seconds.items()}


def _synchronize(batch: MovingDigitSequence) -> None:
    if batch.observed.is_cuda:
        torch.cuda.synchronize(batch.observed.device)
