"""The networks of Recurrent Ladder Networks (Premont-Schwarz et al., 2017, appendix D), row by row.

Those of small digits are miniatures of them, which train on two CPU cores.
"""

from fastladder.models.rladder.rows import (
    G1,
    LSTM,
    AvgPool,
    Conv,
    ConvG2,
    ConvG3,
    ConvLSTM,
    Dense,
    Level,
    MaxPool,
)


def rladder_occluded_digits() -> tuple[Level, ...]:
    """Table 5, the RLadder of Occluded Moving MNIST: frames (1, 32, 32).

    The cell that predicts starts small: otherwise the prediction would at first have 500 times the gradient of the
    classification, and a clipped gradient would leave nothing of the latter.
    """
    return (
        Level(ConvLSTM(32, 3), ConvG3(9, output_scale=0.1)),
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


def temporal_occluded_digits() -> tuple[Level, ...]:
    """Table 6, the temporal baseline of Occluded Moving MNIST: Table 7 with an LSTM below its softmax.

    It has no decoder.
    """
    return (*static_occluded_digits()[:-1], Level(LSTM(16)), Level(Dense(10)))


def static_occluded_digits() -> tuple[Level, ...]:
    """Table 7, the static classifier of Occluded Moving MNIST: the encoder of Table 5 without its recurrent rows.

    It has no decoder. Its input is one frame, such as `fastladder.data.optimal_reconstruction` returns.
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


def rladder_music() -> tuple[Level, ...]:
    """Table 8, the RLadder of polyphonic music: frames (1, 88), one for each key of a piano.

    The paper's filters of (1, 3) on maps of (1, 88) become filters of 3 in one dimension. The softmax over 19 classes
    that it prints on top is left out: it has no task. The dense decoder cells have layer normalisation (appendix A.4:
    in the decoder always), so that pieces of unequal length do not change each other.
    """
    return (
        Level(ConvLSTM(32, 3), ConvG2(3)),
        Level(ConvLSTM(64, 3, stride=2), ConvG2(3)),
        Level(ConvLSTM(96, 3, stride=2), ConvG2(3)),
        Level(ConvLSTM(128, 3, stride=2), ConvG2(3)),
        Level(ConvLSTM(160, 3, stride=2), ConvG2(3)),
        Level(AvgPool(2), G1("layer")),
        Level(LSTM(96), G1("layer")),
    )


def rladder_small_digits(low: int = 8, high: int = 24, units: int = 32, classes: int = 10) -> tuple[Level, ...]:
    """Table 5 in miniature, the RLadder of occluded digits that are small: frames (1, 20, 20).

    Args:
        low: channels at full resolution.
        high: channels at half resolution; twice as many at a quarter.
        units: of the LSTM on top.
        classes: of the softmax.
    """
    return (
        Level(ConvLSTM(low, 3), ConvG3(3, output_scale=0.1)),
        Level(MaxPool(2), ConvG3(4)),
        Level(ConvLSTM(high, 3), ConvG3(3)),
        Level(MaxPool(2), ConvG3(4)),
        Level(Conv(2 * high, 3), ConvG3(3)),
        Level(AvgPool(2), G1()),
        Level(LSTM(units), G1()),
        Level(Dense(classes)),
    )


def temporal_small_digits(low: int = 8, high: int = 24, units: int = 32, classes: int = 10) -> tuple[Level, ...]:
    """Table 6 in miniature, the temporal baseline beside `rladder_small_digits`, with its arguments."""
    return (*static_small_digits(low, high, classes)[:-1], Level(LSTM(units)), Level(Dense(classes)))


def static_small_digits(low: int = 8, high: int = 24, classes: int = 10) -> tuple[Level, ...]:
    """Table 7 in miniature, the static classifier beside `rladder_small_digits`, with its arguments."""
    return (
        Level(Conv(low, 3)),
        Level(MaxPool(2)),
        Level(Conv(high, 3)),
        Level(MaxPool(2)),
        Level(Conv(2 * high, 3)),
        Level(AvgPool(2)),
        Level(Dense(classes)),
    )


def rladder_medium_digits(low: int = 8, high: int = 24, units: int = 32, classes: int = 10) -> tuple[Level, ...]:
    """Between Table 5 and its miniature, the RLadder of Occluded Moving MNIST for two CPU cores: frames (1, 32, 32).

    Below the LSTM is the average over all positions, where Table 5 keeps 4 x 4 of them, so that what a digit is known
    by does not depend on where it is.

    Args:
        low: channels at full resolution.
        high: channels at half resolution; twice as many at a quarter and an eighth.
        units: of the LSTM on top.
        classes: of the softmax.
    """
    return (
        Level(ConvLSTM(low, 3), ConvG3(3, output_scale=0.1)),
        Level(Conv(low, 3), ConvG3(3)),
        Level(MaxPool(2), ConvG3(4)),
        Level(ConvLSTM(high, 3), ConvG3(3)),
        Level(Conv(high, 3), ConvG3(3)),
        Level(MaxPool(2), ConvG3(4)),
        Level(Conv(2 * high, 3), ConvG3(3)),
        Level(MaxPool(2), ConvG3(4)),
        Level(Conv(2 * high, 3), ConvG3(3)),
        Level(AvgPool(4), G1()),
        Level(LSTM(units), G1()),
        Level(Dense(classes)),
    )


def temporal_medium_digits(low: int = 8, high: int = 24, units: int = 32, classes: int = 10) -> tuple[Level, ...]:
    """The temporal baseline beside `rladder_medium_digits`, with its arguments."""
    return (*static_medium_digits(low, high, classes)[:-1], Level(LSTM(units)), Level(Dense(classes)))


def static_medium_digits(low: int = 8, high: int = 24, classes: int = 10) -> tuple[Level, ...]:
    """The static classifier beside `rladder_medium_digits`: its encoder with convolutions for its ConvLSTMs.

    Table 7 leaves out the ConvLSTMs of Table 5, two of eleven rows with convolutions. Here they are two of six, and
    without them a baseline would be behind by its depth alone.
    """
    return (
        Level(Conv(low, 3)),
        Level(Conv(low, 3)),
        Level(MaxPool(2)),
        Level(Conv(high, 3)),
        Level(Conv(high, 3)),
        Level(MaxPool(2)),
        Level(Conv(2 * high, 3)),
        Level(MaxPool(2)),
        Level(Conv(2 * high, 3)),
        Level(AvgPool(4)),
        Level(Dense(classes)),
    )
