import resource
import signal
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from fastladder.experiments import callbacks


@pytest.fixture(scope="session")
def tiny():
    """Options for a training of three epochs, each of 3 steps of 10 sequences."""
    return [
        "--data.batch_size=10",
        "--data.sequences_per_digit=1",
        "--model.widths={low: 4, high: 4, units: 4}",
        "--trainer.accelerator=cpu",
        "--trainer.max_epochs=3",
        "--trainer.limit_train_batches=3",
        "--trainer.limit_val_batches=1",
        "--trainer.limit_test_batches=2",
    ]


@pytest.fixture(autouse=True)
def _interruptible():
    """Lightning ignores Ctrl-C for good once it has seen one, and a shell ignores it for what it runs behind."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def snapshot():
    """The content of every file below a folder."""
    return lambda folder: {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def epoch_takes(monkeypatch):
    """Sets how many minutes every epoch seems to take to the deadline."""

    def take(minutes):
        now = iter(range(0, 10**6))
        clock = SimpleNamespace(monotonic=lambda: 60.0 * minutes * next(now), perf_counter=time.perf_counter)
        monkeypatch.setattr(callbacks, "time", clock)

    return take


@contextmanager
def small_files(size):
    """What a file would have beyond some bytes cannot be written. pytest's own output may be such a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def disk_full():
    """A context in which no file can become larger than some bytes."""
    return small_files
