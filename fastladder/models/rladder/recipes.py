"""The networks of Recurrent Ladder Networks (appendix D), row by row, and a small one for two CPU cores."""

from fastladder.models.levels import (
    G1,
    LSTM,
    AvgPool,
    Broadcast,
    Conv,
    ConvG1,
    ConvG2,
    ConvG3,
    ConvLSTM,
    Dense,
    Level,
    MaxPool,
)


def table5() -> tuple[Level, ...]:
    """Occluded Moving MNIST: frames (1, 32, 32)."""
    return (
        Level(ConvLSTM(32, 3), ConvG3(9)),
        Level(Conv(32, 3), ConvG3(3)),
        Level(Conv(32, 3), ConvG3(3)),
        Level(Conv(32, 3), ConvG3(3)),
        Level(MaxPool(2), ConvG3(6)),
        Level(ConvLSTM(32, 3), ConvG3(9)),
        Level(Conv(64, 3), ConvG3(3)),
        Level(Conv(64, 3), ConvG3(3)),
        Level(Conv(64, 3), ConvG3(3)),
        Level(MaxPool(2), ConvG3(6)),
        Level(Conv(128, 3), ConvG3(3)),
        Level(Conv(64, 1), ConvG3(3)),
        Level(Conv(32, 1), ConvG3(3)),
        Level(AvgPool(2), G1()),
        Level(LSTM(16), G1()),
        Level(Dense(10)),
    )


def table6() -> tuple[Level, ...]:
    """The temporal baseline of Occluded Moving MNIST: Table 7 with an LSTM below its softmax. It has no decoder."""
    return (*table7()[:-1], Level(LSTM(16)), Level(Dense(10)))


def table7() -> tuple[Level, ...]:
    """The static classifier of Occluded Moving MNIST: the encoder of Table 5 without its recurrent rows.

    It has no decoder. Its input is one frame, such as `fastladder.data.optimal_reconstruction` answers.
    """
    return (
        Level(Conv(32, 3)),
        Level(Conv(32, 3)),
        Level(Conv(32, 3)),
        Level(MaxPool(2)),
        Level(Conv(64, 3)),
        Level(Conv(64, 3)),
        Level(Conv(64, 3)),
        Level(MaxPool(2)),
        Level(Conv(128, 3)),
        Level(Conv(64, 1)),
        Level(Conv(32, 1)),
        Level(AvgPool(2)),
        Level(Dense(10)),
    )


def table8() -> tuple[Level, ...]:
    """Polyphonic music: frames (1, 88), one row of keys, so that the (1, 3) filters of the paper have one dimension.

    The softmax over 19 classes that the paper prints on top has no task there, and is left out.
    """
    return (
        Level(ConvLSTM(32, 3), ConvG2(3)),
        Level(ConvLSTM(64, 3, stride=2), ConvG2(3)),
        Level(ConvLSTM(96, 3, stride=2), ConvG2(3)),
        Level(ConvLSTM(128, 3, stride=2), ConvG2(3)),
        Level(ConvLSTM(160, 3, stride=2), ConvG2(3)),
        Level(AvgPool(2), G1()),
        Level(LSTM(96), G1()),
    )


def table9() -> tuple[Level, ...]:
    """Textured MNIST, one group of an RTagger: the four maps of Tagger, frames (4, 96, 96)."""
    return (
        Level(ConvLSTM(96, 8, stride=2, norm="batch"), ConvG1(8, squash_gate=True)),
        Level(Conv(96, 5), ConvG1(5, squash_gate=True)),
        Level(Conv(96, 5), ConvG1(5, squash_gate=True)),
        Level(ConvLSTM(192, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        Level(Conv(192, 5), ConvG1(5, squash_gate=True)),
        Level(Conv(192, 5), ConvG1(5, squash_gate=True)),
        Level(ConvLSTM(192, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        Level(Conv(192, 5), ConvG1(5, squash_gate=True)),
        Level(Conv(192, 5), ConvG1(5, squash_gate=True)),
        Level(ConvLSTM(11, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        Level(AvgPool(6), Broadcast()),
        Level(Dense(11), G1(squash_gate=True)),
    )


def small(low: int = 8, high: int = 24, units: int = 32, classes: int = 10) -> tuple[Level, ...]:
    """Table 5 in miniature: frames (1, 20, 20), for a demonstration that learns in minutes.

    Args:
        low: channels at full resolution.
        high: channels at half resolution; twice as many at a quarter.
        units: of the LSTM on top.
        classes: of the softmax.
    """
    return (
        Level(ConvLSTM(low, 3), ConvG3(3)),
        Level(MaxPool(2), ConvG3(4)),
        Level(ConvLSTM(high, 3), ConvG3(3)),
        Level(MaxPool(2), ConvG3(4)),
        Level(Conv(2 * high, 3), ConvG3(3)),
        Level(AvgPool(2), G1()),
        Level(LSTM(units), G1()),
        Level(Dense(classes)),
    )


def small_temporal(low: int = 8, high: int = 24, units: int = 32, classes: int = 10) -> tuple[Level, ...]:
    """Table 6 in miniature, the temporal baseline beside `small`. Arguments as there."""
    return (*small_static(low, high, classes)[:-1], Level(LSTM(units)), Level(Dense(classes)))


def small_static(low: int = 8, high: int = 24, classes: int = 10) -> tuple[Level, ...]:
    """Table 7 in miniature, the static classifier beside `small`. Arguments as there."""
    return (
        Level(Conv(low, 3)),
        Level(MaxPool(2)),
        Level(Conv(high, 3)),
        Level(MaxPool(2)),
        Level(Conv(2 * high, 3)),
        Level(AvgPool(2)),
        Level(Dense(classes)),
    )
