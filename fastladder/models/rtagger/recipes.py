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
        Level(ConvLSTM(low, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        Level(Conv(low, 3), ConvG1(3, squash_gate=True)),
        Level(ConvLSTM(high, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        Level(Conv(high, 3), ConvG1(3, squash_gate=True)),
        Level(ConvLSTM(high, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        Level(AvgPool(5), Broadcast()),
        Level(LSTM(units, norm="batch"), G1(squash_gate=True)),
        Level(Dense(11)),
    )


def rtagger_shapes(low: int = 24, high: int = 48, units: int = 48) -> tuple[Level, ...]:
    """The mapping of an RTagger for Shapes, or others of its size: frames (4, 20, 20), four features of one group.

    Args:
        low: channels at half resolution.
        high: channels at a quarter.
        units: of the LSTM on top; 0: there are local rows only, to see what comes of that.
    """
    local = (
        Level(ConvLSTM(low, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        Level(Conv(low, 3), ConvG1(3, squash_gate=True)),
        Level(ConvLSTM(high, 4, stride=2, norm="batch"), ConvG1(4, squash_gate=True)),
        Level(Conv(high, 3), ConvG1(3, squash_gate=True)),
        Level(ConvLSTM(high, 3, norm="batch"), ConvG1(3, squash_gate=True)),
    )
    if not units:
        return local
    return (*local, Level(AvgPool(5), Broadcast()), Level(LSTM(units, norm="batch"), G1(squash_gate=True)))
