"""Where a run's random numbers come from."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from lightning.pytorch import seed_everything

from fastladder.experiments.errors import RunError

# Of what is drawn for validation and for the test: the same for every run. What is drawn for training depends on its
# own seed.
VALID_SEED, TEST_SEED = 1_000_001, 1_000_002


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Makes what is built inside depend on the seed alone.

    Raises:
        RunError: a value is wrong that something is built with; the message names it.
    """
    try:
        seed_everything(seed, verbose=False)
        yield
    except (TypeError, ValueError) as error:
        raise RunError(str(error)) from None


def mixed(*numbers: int) -> int:
    """One seed of several numbers, such as a seed and an epoch; those of near numbers are unrelated."""
    (seed,) = np.random.SeedSequence(numbers).generate_state(1)
    return int(seed)
