"""The networks of Semi-Supervised Learning with Ladder Networks (Rasmus et al., 2015), and their costs of denoising."""

from typing import NamedTuple

from fastladder.models.ladder.rows import AvgPool, Conv, Dense, LadderRow, MaxPool


class Denoising(NamedTuple):
    """The last arguments of `LadderNetwork.costs`, for each level from the input up.

    `network.costs(labelled, labels, unlabelled, *denoising)` takes them.
    """

    weights: tuple[float, ...]
    noise: tuple[float, ...]


def ladder_mlp() -> tuple[LadderRow, ...]:
    """The dense network of permutation-invariant MNIST (Table 1): inputs (784,)."""
    return tuple(Dense(units) for units in (1000, 500, 250, 250, 250, 10))


def ladder_conv_fc() -> tuple[LadderRow, ...]:
    """Conv-FC of MNIST (Table 2): inputs (1, 28, 28). A dense network at nine positions, whose logits are averaged."""
    dense = tuple(Conv(channels, 1) for channels in (500, 250, 250, 250, 10))
    return (Conv(1000, 26), *dense, AvgPool(3))


def ladder_conv_small() -> tuple[LadderRow, ...]:
    """Conv-Small of MNIST (Table 2): inputs (1, 28, 28). The paper denoises its top only, as the Gamma model does."""
    return (
        Conv(32, 5, "full"),
        MaxPool(2),
        Conv(64, 3),
        Conv(64, 3, "full"),
        MaxPool(2),
        Conv(128, 3),
        Conv(10, 1),
        AvgPool(6),
        Dense(10),
    )


# By the number of labels, of which MNIST has 60,000.
LADDER_MLP_DENOISING = {
    100: Denoising((1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1), (0.3,) * 7),
    1_000: Denoising((2000, 20, 0.1, 0.1, 0.1, 0.1, 0.1), (0.3,) + (0.2,) * 6),
    60_000: Denoising((1000, 1, 0.01, 0.01, 0.01, 0.01, 0.01), (0.3,) * 7),
}
LADDER_CONV_FC_DENOISING = {100: Denoising((1000, 10, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1), (0.3,) * 8)}
LADDER_CONV_SMALL_DENOISING = {100: Denoising((0,) * 9 + (1,), (0.3,) * 10)}
