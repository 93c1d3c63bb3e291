"""The mappings of RTaggers, row by row: Table 9 of Recurrent Ladder Networks (Premont-Schwarz et al., 2017), and
smaller ones.

In every one a narrow row on top sees the average over all positions and is broadcast back to them. It is what makes the
groups: with local rows alone a network learns to remove noise, and hardly to group.
"""

from fastladder.models.rladder import G1, LSTM, AvgPool, Broadcast, Conv, ConvG1, ConvLSTM, Dense, Level


def rtagger_textures() -> tuple[Level, ...]:
    """Table 9, the mapping of an RTagger for textured MNIST.

    Its frames (4, 96, 96) are Tagger's four features of one group.
    """
    return (*table9_rows(), Level(AvgPool(6), Broadcast()), Level(Dense(11), G1(squash_gate=True)))


def rtagger_moving_mnist(units: int = 48) -> tuple[Level, ...]:
    """The mapping of an RTagger for Moving MNIST, whose frames (4, 64, 64) are four features of one group.

    The paper has the same RTagger for textured digits and for moving ones. What here differs from Table 9 is on top,
    where there are no classes.

    Args:
        units: of the LSTM on top, which can know how the digit of its group moves; 0: there are local rows only.
    """
    return (*table9_rows(), *narrow_top(4, units))


def rtagger_shapes(low: int = 24, high: int = 48, units: int = 48) -> tuple[Level, ...]:
    """The mapping of an RTagger for Shapes, or others of its size: frames (4, 20, 20), four features of one group.

    Args:
        low: channels at half resolution.
        high: channels at a quarter.
        units: of the LSTM on top; 0: there are local rows only, to see what comes of that.
    """
    return (*small_rows(low, high), *narrow_top(5, units))


def rtagger_small_motion(low: int = 24, high: int = 48, units: int = 48) -> tuple[Level, ...]:
    """The mapping of an RTagger for small moving digits, whose frames (4, 32, 32) are four features of one group.

    Args:
        low, high, units: as for `rtagger_shapes`.
    """
    return (*small_rows(low, high), *narrow_top(8, units))


def rtagger_small_textures(low: int = 24, high: int = 48, units: int = 48) -> tuple[Level, ...]:
    """The mapping of an RTagger for small textured digits, whose frames (4, 40, 40) are four features of one group.

    Like Table 9 it halves the size with every ConvLSTM, here to 20, 10 and 5, and ends in ten classes and none of them.
    Its narrow row below these remembers more than them from one iteration to the next.

    Args:
        low: channels at half resolution.
        high: channels at a quarter and an eighth.
        units: of the LSTM on top.
    """
    return (
        *small_rows(low, high)[:-1],
        Level(ConvLSTM(high, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        *narrow_top(5, units),
        Level(Dense(11)),
    )


def table9_rows() -> tuple[Level, ...]:
    """The local rows of Table 9, to a sixteenth of the resolution."""
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
    )


def small_rows(low: int, high: int) -> tuple[Level, ...]:
    """Local rows to a quarter of the resolution."""
    return (
        Level(ConvLSTM(low, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        Level(Conv(low, 3), ConvG1(3, squash_gate=True)),
        Level(ConvLSTM(high, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        Level(Conv(high, 3), ConvG1(3, squash_gate=True)),
        Level(ConvLSTM(high, 3, norm="batch"), ConvG1(3, squash_gate=True)),
    )


def narrow_top(size: int, units: int) -> tuple[Level, ...]:
    """An LSTM of the average over all size x size positions, broadcast back to them; of no units it is left out."""
    if not units:
        return ()
    return (Level(AvgPool(size), Broadcast()), Level(LSTM(units, norm="batch"), G1(squash_gate=True)))
