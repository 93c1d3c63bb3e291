import pytest
import torch

from fastladder.data import (
    PAPER,
    SMALL,
    VELOCITIES,
    MovingDigits,
    coverage,
    occlude,
    optimal_reconstruction,
    render,
    trajectories,
)

LONG = MovingDigits(frame_size=9, digit_size=7, frames=40, bar_width=1, bar_starts=(2, 6))  # a margin of 2 only
CONFIGS = pytest.mark.parametrize("config", [PAPER, SMALL, LONG], ids=["paper", "small", "long"])


def draw(count, config, seed=0):
    generator = torch.Generator().manual_seed(seed)
    positions = trajectories(count, config, generator)
    return torch.rand(count, config.digit_size, config.digit_size, generator=generator) + 0.01, positions


def bounce(start, velocity, frames, margin):
    """One coordinate of a trajectory, step by step."""
    path = [start]
    for _ in range(frames - 1):
        start += velocity
        if start < 0:
            start, velocity = -start, -velocity
        elif start > margin:
            start, velocity = 2 * margin - start, -velocity
        path.append(start)
    return path


@CONFIGS
def test_motion_is_a_slow_mirror_reflection(config):
    """Every trajectory is what one of the eight velocities gives from where it starts."""
    for path in trajectories(100, config, torch.Generator().manual_seed(0)):
        starts = path[0].tolist()
        possible = [
            [bounce(start, v, config.frames, config.margin) for start, v in zip(starts, velocity, strict=True)]
            for velocity in VELOCITIES
        ]
        assert path.T.tolist() in possible


def test_eight_velocities_all_drawn_evenly():
    assert sorted(VELOCITIES) == sorted({(a, b) for a in (-2, -1, 1, 2) for b in (-2, -1, 1, 2) if abs(a) != abs(b)})
    positions = trajectories(20_000, PAPER, torch.Generator().manual_seed(0))
    inner = positions[((positions[:, 0] >= 2) & (positions[:, 0] <= PAPER.margin - 2)).all(1)]
    steps = inner[:, 1] - inner[:, 0]
    for velocity in VELOCITIES:
        share = (steps == torch.tensor(velocity)).all(1).double().mean().item()
        # Some 12,000 sequences start away from the edges: a share has a standard deviation of 0.003.
        assert share == pytest.approx(1 / 8, abs=0.012)


@CONFIGS
def test_starts_are_uniform_and_positions_in_range(config):
    count = 20_000
    positions = trajectories(count, config, torch.Generator().manual_seed(0))
    assert positions.shape == (count, config.frames, 2)
    assert positions.dtype == torch.int64
    assert positions.min() == 0
    assert positions.max() == config.margin
    for axis in range(2):
        seen = positions[:, 0, axis].bincount(minlength=config.margin + 1).double() / count
        expected = 1 / (config.margin + 1)
        # Five standard deviations of a binomial share.
        assert (seen - expected).abs().max() < 5 * (expected * (1 - expected) / count) ** 0.5


def test_trajectories_follow_the_generator():
    first, again, other = (trajectories(50, PAPER, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_bars_of_the_paper():
    visible = PAPER.visible()
    hidden = {*range(8, 12), *range(20, 24)}
    for row in range(32):
        for column in range(32):
            assert visible[row, column] == (row not in hidden and column not in hidden)
    assert visible.double().mean() == 0.5625


def test_bars_of_the_small_configuration():
    assert SMALL.visible()[0].int().tolist() == [1] * 5 + [0] * 2 + [1] * 6 + [0] * 2 + [1] * 5
    assert SMALL.visible().float().mean() == pytest.approx(0.64)


def test_no_bars():
    assert MovingDigits(bar_starts=()).visible().all()


@CONFIGS
def test_render_and_occlude_against_loops(config):
    images, positions = draw(6, config)
    clean = render(images, positions, config)
    expected = torch.zeros(6, config.frames, 1, config.frame_size, config.frame_size)
    for n in range(6):
        for t, (row, column) in enumerate(positions[n].tolist()):
            expected[n, t, 0, row : row + config.digit_size, column : column + config.digit_size] = images[n]
    assert torch.equal(clean, expected)

    for start in config.bar_starts:
        expected[..., start : start + config.bar_width, :] = 0
        expected[..., :, start : start + config.bar_width] = 0
    assert torch.equal(occlude(clean, config), expected)


@CONFIGS
def test_optimal_reconstruction_against_loops(config):
    images, positions = draw(6, config)
    visible = config.visible()
    expected = torch.zeros(6, 1, config.frame_size, config.frame_size)
    shares = torch.zeros(6, config.frames)
    for n in range(6):
        known = torch.zeros(config.digit_size, config.digit_size, dtype=torch.bool)
        for t, (row, column) in enumerate(positions[n].tolist()):
            known |= visible[row : row + config.digit_size, column : column + config.digit_size]
            shares[n, t] = known.float().mean()
        expected[n, 0, row : row + config.digit_size, column : column + config.digit_size] = images[n] * known
    assert torch.equal(optimal_reconstruction(images, positions, config), expected)
    torch.testing.assert_close(coverage(positions, config), shares)


def test_optimal_reconstruction_without_bars_is_the_last_frame():
    config = MovingDigits(bar_starts=())
    images, positions = draw(6, config)
    assert torch.equal(optimal_reconstruction(images, positions, config), render(images, positions, config)[:, -1])


def test_coverage_of_the_paper():
    _, positions = draw(20_000, PAPER)
    found = coverage(positions, PAPER).mean(0)
    # The expected figures are rounded to 0.01; the mean over 20,000 sequences is good to 0.001.
    torch.testing.assert_close(found, torch.tensor([0.47, 0.62, 0.75, 0.83, 0.91]), atol=0.008, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"digit_size": 32}, "digit_size: got 32, needs 1 to 31, less than frame_size"),
        ({"digit_size": 0}, "digit_size: got 0"),
        ({"frames": 0}, "frames: got 0, needs 1 or more"),
        ({"bar_width": 0}, "bar_width: got 0"),
        ({"bar_starts": (8, 29)}, r"bar_starts: got \(8, 29\), needs 0 to 28"),
        ({"bar_starts": (-1,)}, r"bar_starts: got \(-1,\)"),
    ],
)
def test_wrong_configurations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MovingDigits(**options)


@pytest.mark.parametrize("function", [render, optimal_reconstruction])
def test_wrong_arguments_are_refused(function):
    images, positions = draw(3, PAPER)
    with pytest.raises(ValueError, match=r"images: got shape \(3, 13, 14\), needs \(N, 14, 14\)"):
        function(images[:, 1:], positions, PAPER)
    with pytest.raises(ValueError, match=r"positions: got shape \(2, 5, 2\), needs \(3, T, 2\)"):
        function(images, positions[1:], PAPER)
    with pytest.raises(ValueError, match=r"positions: got values from .* to 19, needs 0 to 18"):
        function(images, positions.clone().fill_(19), PAPER)
    with pytest.raises(ValueError, match="positions: got device meta, needs cpu like images"):
        function(images, positions.to("meta"), PAPER)


def test_wrong_frames_are_refused():
    with pytest.raises(ValueError, match=r"frames: got shape \(2, 20, 20\), needs \(\.\.\., 32, 32\)"):
        occlude(torch.zeros(2, 20, 20), PAPER)
