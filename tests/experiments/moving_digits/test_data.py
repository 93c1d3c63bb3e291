"""The batches of moving digits with groups."""

import pytest
import torch

from fastladder.data import Digits, Splits
from fastladder.experiments.errors import RunError
from fastladder.experiments.moving_digits.data import FOLLOWING, MotionData

SIZES = (23, 7, 6)


class Where:
    """As much of a trainer as the data looks at."""

    class strategy:  # noqa: N801
        root_device = torch.device("cpu")

    def __init__(self, epoch=0, rank=0, processes=1):
        self.current_epoch, self.global_rank, self.world_size = epoch, rank, processes


def data_at(epoch=0, rank=0, processes=1, **options):
    data = MotionData(**{"frames": 5, "sizes": SIZES, "batch_size": 8, **options})
    data.trainer = Where(epoch, rank, processes)
    data.setup("fit")
    return data


def frames_of(loader):
    return [batch.frames for batch in loader]


def test_training_epochs_are_new_and_repeatable():
    first, again, second, other = (
        torch.cat(frames_of(data.train_dataloader()))
        for data in (data_at(0), data_at(0), data_at(1), data_at(0, seed=1))
    )
    assert first.shape == (16, 5, 32, 32)  # two whole batches
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


def test_validation_and_test_do_not_depend_on_seed_or_epoch():
    one, other = data_at(0, seed=0), data_at(3, seed=5)
    for name, shape in (("val", (7, 5, 32, 32)), ("test", (6, 5 + FOLLOWING, 32, 32))):
        (a,), (b,) = (getattr(data, f"{name}_dataloader")() for data in (one, other))
        assert a.frames.shape == a.groups.shape == shape
        assert torch.equal(a.frames, b.frames)
        assert torch.equal(a.groups, b.groups)
    assert one.fingerprints()["test"] == other.fingerprints()["test"]
    assert one.fingerprints()["train"] != other.fingerprints()["train"]


def test_no_digit_is_in_two_parts():
    """By what they look like: a digit of the test is none of those that train."""
    train, valid, test = (part.images.flatten(1) for part in data_at().digits)
    for some, others in ((valid, train), (test, train), (test, valid)):
        assert len(others) == len(others[(others[:, None] != some).any(2).all(1)])


@pytest.mark.parametrize("objects", [1, 3])
def test_so_many_digits_are_in_a_frame(objects):
    (batch,) = data_at(objects=objects, frames=2).val_dataloader()
    assert batch.label.shape == (7, objects)
    assert batch.groups.unique().tolist() == list(range(objects + 1))


def test_digits_of_mnist_move_over_larger_frames(monkeypatch):
    noise = Digits(torch.rand(20, 28, 28), torch.arange(20) % 10, "noise")
    place = "fastladder.experiments.moving_digits.data.mnist_splits"
    monkeypatch.setattr(place, lambda folder, download: Splits(noise, noise, noise))
    (batch,) = data_at(source="mnist", frames=2).val_dataloader()
    assert batch.frames.shape == (7, 2, 64, 64)


def test_processes_share_every_batch():
    alone = frames_of(data_at().train_dataloader())
    parts = [frames_of(data_at(rank=rank, processes=2).train_dataloader()) for rank in range(2)]
    for whole, *halves in zip(alone, *parts, strict=True):
        assert torch.equal(torch.stack(halves, 1).flatten(0, 1), whole)
    with pytest.raises(RunError, match="batch_size: got 8, needs a multiple of the 3 processes"):
        data_at(processes=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "nist"}, "source: got 'nist', needs one of bundled, mnist"),
        ({"objects": 0}, "objects: got 0, needs 1 to 254"),
        ({"frames": 1}, "frames: got 1, needs 2 or more"),
        ({"sizes": (23, 0, 6)}, "sizes: got 0 for valid, needs 1 or more"),
        ({"batch_size": 24}, "batch_size: got 24, needs 1 to 23"),
    ],
)
def test_wrong_values_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        data_at(**options)
