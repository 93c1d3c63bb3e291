import math
from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from fastladder.data import (
    MOVING_MNIST,
    MOVING_SMALL,
    Digits,
    GroupedMovingDigits,
    GroupedSequence,
    MovingGroups,
    overlay,
)
from fastladder.data.moving_groups import directed_trajectories

TINY = MovingGroups(frame_size=9, digit_size=4, frames=6, speed=1.3, objects=2)
DEVICES = pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))],
)


@pytest.fixture
def digits():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(7, 4, 4, generator=generator)
    images[torch.rand(7, 4, 4, generator=generator) < 0.3] = 0
    return Digits(images, torch.arange(7), "noise")


def sequences(digits, count=10, config=TINY, **options):
    return GroupedMovingDigits(digits, config, count=count, **options)


def test_the_sizes_of_moving_mnist():
    assert MovingGroups(64, 28, 20, speed=3.6, objects=2) == MOVING_MNIST
    for config in (MOVING_MNIST, MOVING_SMALL):
        assert config.speed == pytest.approx(config.margin / 10)
        assert config.digit_size / config.frame_size == 0.4375


def is_straight(path, margin, speed):
    """Whether a line at that speed in any direction, mirrored at the edges, stays within half a pixel of a path."""
    time = torch.arange(len(path))[:, None, None]
    angles = torch.linspace(0, 2 * math.pi, 2880)
    starts = path[0] + torch.linspace(-0.5, 0.5, 21)[:, None]  # of row and column, within the first pixel

    def is_near(axis, direction):
        line = (starts[:, axis, None] + speed * time * direction) % (2 * margin)
        line = margin - (margin - line).abs()
        # 0.1 for the grid of angles, whose step is 0.15 pixels after 20 frames, and that of starts.
        return ((line - path[:, axis, None, None]).abs() <= 0.6).all(0).any(0)

    return (is_near(0, angles.sin()) & is_near(1, angles.cos())).any()


def test_motion_is_straight_at_one_speed_between_mirrors():
    for path in directed_trajectories(60, MOVING_MNIST, torch.Generator().manual_seed(0)):
        assert is_straight(path, 36, 3.6)
        assert not is_straight(path, 36, 2.6)


def test_starts_and_directions_are_uniform():
    count = 20_000
    config = replace(MOVING_MNIST, frames=2)
    positions = directed_trajectories(count, config, torch.Generator().manual_seed(0))
    assert positions.shape == (count, 2, 2)
    assert positions.dtype == torch.int64
    assert positions.min() == 0
    assert positions.max() == 36
    # Each of the 35 whole pixels within, and the two edges, which are nearest to half as many places.
    for axis in range(2):
        seen = positions[:, 0, axis].bincount(minlength=37).double() / count
        expected = torch.tensor([0.5] + 35 * [1.0] + [0.5]).double() / 36
        assert (seen - expected).abs().max() < 5 * (1 / 36 * 35 / 36 / count) ** 0.5
    inner = positions[((positions[:, 0] >= 5) & (positions[:, 0] <= 31)).all(1)]
    steps = (inner[:, 1] - inner[:, 0]).double()
    # Rounding twice adds a variance of about 1/6 to each coordinate's 3.6^2 / 2.
    torch.testing.assert_close(steps.mean(0), torch.zeros(2).double(), atol=0.15, rtol=0)
    torch.testing.assert_close(steps.T.cov(), (6.48 + 1 / 6) * torch.eye(2).double(), atol=0.3, rtol=0)


def test_overlay_against_loops():
    generator = torch.Generator().manual_seed(0)
    inks = (torch.randint(5, (3, 3, 6, 7), generator=generator) / 4) * torch.randint(
        2, (3, 3, 6, 7), generator=generator
    )
    for background in (False, True):
        for overlap in (False, True):
            seen, groups = overlay(inks, background=background, overlap=overlap)
            assert seen.dtype == torch.float32
            assert groups.dtype == torch.uint8
            for n in range(3):
                for i in range(6):
                    for j in range(7):
                        ink = inks[n, :, i, j].tolist()
                        assert seen[n, i, j] == max(ink)
                        of = [group for group, value in enumerate(ink, 1) if value > 0]
                        if not of:
                            expected = 4 if background else 0
                        elif len(of) == 1:
                            expected = of[0]
                        else:
                            expected = 1 + ink.index(max(ink)) if overlap else 0
                        assert groups[n, i, j] == expected


def test_what_is_laid_over_each_other_is_left_alone():
    inks = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    before = inks.clone()
    overlay(inks, overlap=True, background=True)
    assert torch.equal(inks, before)


def test_as_many_groups_as_bytes_can_count():
    inks = torch.eye(254)[None]
    assert overlay(inks)[1].tolist() == [list(range(1, 255))]
    assert overlay(0 * inks, background=True)[1].unique().tolist() == [255]


@pytest.mark.parametrize("objects", [1, 2, 3])
def test_a_batch_shows_the_digits_where_they_are(digits, objects):
    config = replace(TINY, objects=objects)
    dataset = sequences(digits, config=config, background=True)
    batch = dataset[[8, 2, 5]]
    assert isinstance(batch, GroupedSequence)
    for n, index in enumerate((8, 2, 5)):
        for t in range(6):
            frame = torch.zeros(objects, 9, 9)
            for which in range(objects):
                row, column = dataset.positions[index, which, t].tolist()
                frame[which, row : row + 4, column : column + 4] = digits.images[batch.label[n, which]]
            seen, groups = overlay(frame[None], background=True)
            assert torch.equal(batch.frames[n, t], seen[0])
            assert torch.equal(batch.groups[n, t], groups[0])


def test_an_item_and_a_loader(digits):
    dataset = sequences(digits)
    item = dataset[-1]
    assert item.frames.shape == item.groups.shape == (6, 9, 9)
    assert item.label.shape == (2,)
    whole = dataset[:]
    assert torch.equal(item.frames, whole.frames[9])
    (batch,) = DataLoader(dataset, batch_size=10)
    for one, other in zip(batch, whole, strict=True):
        assert torch.equal(one, other)


def test_digits_come_evenly_and_move_on_their_own(digits):
    dataset = sequences(digits, 700)
    for group in dataset[:].label.unbind(1):
        assert group.bincount(minlength=7).tolist() == 7 * [100]
    first, second = dataset.positions.unbind(1)
    assert (first == second).all((1, 2)).sum() == 0


@DEVICES
def test_seed_and_epoch_decide_on_every_device(digits, device):
    dataset = sequences(digits, seed=1, device=device)
    first = dataset[:]
    assert first.frames.device.type == device
    dataset.resample(1)
    second = dataset[:]
    assert not torch.equal(first.frames, second.frames)
    assert not torch.equal(first.label, second.label)
    again = sequences(digits, seed=1)
    again.resample(1)
    for one, other in zip(second, again[:], strict=True):
        assert torch.equal(one.cpu(), other)


def test_what_is_scored_changes_nothing_that_is_seen(digits):
    plain, full = (sequences(digits, background=wanted, overlap=wanted)[:] for wanted in (False, True))
    assert torch.equal(plain.frames, full.frames)
    assert (full.groups > 0).all()
    kept = plain.groups > 0
    assert torch.equal(plain.groups[kept], full.groups[kept])


def test_fingerprint_is_of_all_that_decides(digits):
    other = Digits(digits.images.flip(0), digits.labels, "noise")
    variants = [
        sequences(digits),
        sequences(other),
        sequences(digits, 11),
        sequences(digits, config=replace(TINY, speed=1.4)),
        sequences(digits, seed=1),
        sequences(digits, background=True),
        sequences(digits, overlap=True),
    ]
    prints = [dataset.fingerprint() for dataset in variants]
    assert len(set(prints)) == 7
    assert sequences(digits).fingerprint() == prints[0]
    assert len(prints[0]) == 64


def test_the_source_is_told(digits):
    assert sequences(digits).source == "2 moving digits of noise"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"digit_size": 64}, "digit_size: got 64, needs 1 to 63, less than frame_size"),
        ({"frames": 0}, "frames: got 0, needs 1 or more"),
        ({"speed": 0}, "speed: got 0, needs a finite number above 0"),
        ({"speed": -1.0}, "speed: got -1.0"),
        ({"speed": math.nan}, "speed: got nan"),
        ({"speed": math.inf}, "speed: got inf"),
        ({"objects": 0}, "objects: got 0, needs 1 to 254"),
        ({"objects": 255}, "objects: got 255, needs 1 to 254"),
    ],
)
def test_wrong_configurations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MovingGroups(**options)


def test_wrong_arguments_are_refused(digits):
    with pytest.raises(ValueError, match=r"digits: got images of shape \(7, 4, 4\), needs \(M, 28, 28\) by config"):
        sequences(digits, config=MOVING_MNIST)
    with pytest.raises(ValueError, match="count: got 0, needs 1 or more"):
        sequences(digits, 0)
    with pytest.raises(ValueError, match="seed: got -1, needs 0 or more"):
        sequences(digits, seed=-1)
