"""The networks of Recurrent Ladder Networks (appendix D): every width, size and weight as its tables print them."""

import pytest
import torch

from fastladder.models import (
    RLadder,
    rladder_medium_digits,
    rladder_music,
    rladder_occluded_digits,
    rladder_small_digits,
    rtagger_moving_mnist,
    rtagger_shapes,
    rtagger_small_motion,
    rtagger_small_textures,
    rtagger_textures,
    static_medium_digits,
    static_occluded_digits,
    static_small_digits,
    temporal_medium_digits,
    temporal_occluded_digits,
    temporal_small_digits,
)


@pytest.fixture(scope="module")
def occluded_digits():
    torch.manual_seed(4)
    return RLadder(rladder_occluded_digits(), (1, 32, 32), steps=5)


def weights(network):
    """The shape of every weight that is not a vector, by its name."""
    return {name: tuple(p.shape) for name, p in network.named_parameters() if name.endswith("weight") and p.dim() > 1}


def assert_classifies(network, x):
    """It has no decoder, and every parameter learns."""
    output = network(x)
    assert output.prediction is None
    assert output.logits.shape == (*x.shape[:2], *network.shapes[-1])
    assert [row.decoded for row in output.state] == [None] * len(network.recurrent)
    torch.manual_seed(0)
    output.logits.backward(torch.randn_like(output.logits))
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_levels_of_occluded_digits(occluded_digits):
    sizes = [(1, 32), *[(32, 32)] * 4, *[(32, 16)] * 2, *[(64, 16)] * 3, (64, 8), (128, 8), (64, 8), (32, 8), (32, 4)]
    assert occluded_digits.shapes == [*[(c, n, n) for c, n in sizes], (16,), (10,)]
    assert occluded_digits.recurrent == [1, 6, 15]


def test_encoder_weights_of_occluded_digits(occluded_digits):
    shapes = weights(occluded_digits.encoder)
    for row, below in ((0, 1), (5, 32)):
        assert shapes[f"{row}.input_projection.weight"] == (128, below, 3, 3)
        assert shapes[f"{row}.hidden_projection.weight"] == (128, 32, 3, 3)
        assert shapes[f"{row}.feedback_projection.weight"] == (128, 32, 3, 3)
    widths = {1: (32, 32, 3), 2: (32, 32, 3), 3: (32, 32, 3), 6: (64, 32, 3), 7: (64, 64, 3), 8: (64, 64, 3)}
    widths |= {10: (128, 64, 3), 11: (64, 128, 1), 12: (32, 64, 1)}
    for row, (above, below, kernel) in widths.items():
        assert shapes[f"{row}.convolution.weight"] == (above, below, kernel, kernel)
    assert shapes["14.input_projection.weight"] == (64, 512)
    assert shapes["14.feedback_projection.weight"] == (64, 16)
    assert shapes["15.linear.weight"] == (10, 16)
    assert all(row.convolution.bias is None for row in occluded_digits.encoder if hasattr(row, "convolution"))


def test_decoder_weights_of_occluded_digits(occluded_digits):
    shapes = weights(occluded_digits.decoder)
    # level: kernel of A, kernel of B, channels of top, lateral and hidden layer
    cells = {0: (9, 9, 32, 1, 32), 4: (6, 3, 32, 32, 32), 5: (9, 9, 32, 32, 32), 9: (6, 3, 64, 64, 64)}
    cells |= dict.fromkeys((1, 2, 3), (3, 3, 32, 32, 32)) | dict.fromkeys((7, 8), (3, 3, 64, 64, 64))
    cells |= {6: (3, 3, 64, 32, 64), 10: (3, 3, 128, 64, 128), 11: (3, 3, 64, 128, 64), 12: (3, 3, 32, 64, 32)}
    for level, (a, b, top, lateral, hidden) in cells.items():
        transposed = level in (4, 9)
        assert occluded_digits.decoder[str(level)].top_projection.stride == ((2, 2) if transposed else (1, 1))
        assert shapes[f"{level}.top_projection.weight"] == ((top, hidden, a, a) if transposed else (hidden, top, a, a))
        assert shapes[f"{level}.lateral_projection.weight"] == (hidden, lateral, b, b)
        assert shapes[f"{level}.output_projection.weight"] == (3 * lateral, hidden, 1, 1)
    assert shapes["13.projection.weight"] == (2048, 512)
    assert shapes["14.projection.weight"] == (512, 16)
    assert len(occluded_digits.decoder) == 15


def test_occluded_digits_run(occluded_digits):
    x = torch.rand(2, 2, 1, 32, 32)
    output = occluded_digits(x)
    assert output.prediction.shape == x.shape
    assert output.logits.shape == (2, 2, 10)
    for row, shape in zip(output.state, ((32, 32, 32), (32, 16, 16), (16,)), strict=True):
        assert row.hidden.shape == row.cell.shape == row.decoded.shape == (2, *shape)
    torch.autograd.backward(output[:2], [torch.randn_like(y) for y in output[:2]])
    assert [name for name, p in occluded_digits.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_occluded_digits_in_the_same_alignment():
    network = RLadder(rladder_occluded_digits(), (1, 32, 32), alignment="same").eval()
    # The even kernel of row 5, taken literally, at stride 1.
    assert network.decoder["5"].top_projection.kernel_size == (6, 6)
    assert network.decoder["4"].top_projection.stride == (2, 2)
    assert network(torch.rand(1, 1, 1, 32, 32)).prediction.shape == (1, 1, 1, 32, 32)


# The encoders of Tables 6 and 7 up to the average, by row: channels above and below, and the size of the filter.
STATIC = {0: (32, 1, 3), 1: (32, 32, 3), 2: (32, 32, 3), 4: (64, 32, 3), 5: (64, 64, 3), 6: (64, 64, 3)}
STATIC |= {8: (128, 64, 3), 9: (64, 128, 1), 10: (32, 64, 1)}
STATIC_SIZES = [(1, 32), *[(32, 32)] * 3, (32, 16), *[(64, 16)] * 3, (64, 8), (128, 8), (64, 8), (32, 8), (32, 4)]


def test_temporal_occluded_digits():
    network = RLadder(temporal_occluded_digits(), (1, 32, 32), steps=5, decoder=False)
    assert network.shapes == [*[(c, n, n) for c, n in STATIC_SIZES], (16,), (10,)]
    assert network.recurrent == [13]
    shapes = weights(network.encoder)
    convolutions = {f"{row}.convolution.weight": (c, d, k, k) for row, (c, d, k) in STATIC.items()}
    lstm = {"12.input_projection.weight": (64, 512), "12.hidden_projection.weight": (64, 16)}
    assert shapes == {**convolutions, **lstm, "13.linear.weight": (10, 16)}
    assert_classifies(network, torch.rand(2, 5, 1, 32, 32))


def test_static_occluded_digits():
    network = RLadder(static_occluded_digits(), (1, 32, 32), decoder=False)
    assert network.shapes == [*[(c, n, n) for c, n in STATIC_SIZES], (10,)]
    assert network.recurrent == []
    convolutions = {f"{row}.convolution.weight": (c, d, k, k) for row, (c, d, k) in STATIC.items()}
    assert weights(network.encoder) == {**convolutions, "12.linear.weight": (10, 512)}
    assert_classifies(network, torch.rand(2, 1, 1, 32, 32))


def test_baselines_have_the_convolutions_of_the_rladder(occluded_digits):
    """Tables 6 and 7 are the encoder of Table 5 without its ConvLSTM rows, but for the first convolution's input."""
    temporal = RLadder(temporal_occluded_digits(), (1, 32, 32), decoder=False)
    ours, theirs = (weights(network) for network in (temporal, occluded_digits))
    kept = [shape for name, shape in theirs.items() if name.startswith("encoder") and "convolution" in name]
    assert [shape for name, shape in ours.items() if "convolution" in name][1:] == kept[1:]


def test_small_digits_have_the_widths_that_are_asked_for():
    network = RLadder(rladder_small_digits(low=3, high=5, units=7, classes=4), (1, 20, 20))
    output = network(torch.rand(2, 2, 1, 20, 20))
    assert output.prediction.shape == (2, 2, 1, 20, 20)
    assert output.logits.shape == (2, 2, 4)
    assert [row.hidden.shape[1:] for row in output.state] == [(3, 20, 20), (5, 10, 10), (7,)]


@pytest.mark.parametrize(
    ("levels", "frames", "recurrent"), [(static_small_digits, 1, []), (temporal_small_digits, 5, [7])]
)
def test_baselines_of_small_digits(levels, frames, recurrent):
    network = RLadder(levels(low=2, high=3), (1, 20, 20), steps=frames, decoder=False)
    beside = RLadder(rladder_small_digits(low=2, high=3), (1, 20, 20))
    assert network.shapes[:7] == beside.shapes[:7]
    assert network.shapes[7:] == ([(32,), (10,)] if recurrent else [(10,)])
    assert network.recurrent == recurrent
    assert_classifies(network, torch.rand(2, frames, 1, 20, 20))


def test_baselines_of_small_digits_take_their_sizes():
    network = RLadder(temporal_small_digits(2, 3, units=5, classes=4), (1, 20, 20), decoder=False)
    assert network.shapes[1:] == [(2, 20, 20), (2, 10, 10), (3, 10, 10), (3, 5, 5), (6, 5, 5), (6, 2, 2), (5,), (4,)]
    assert RLadder(static_small_digits(2, 3, classes=4), (1, 20, 20), decoder=False).shapes[-1] == (4,)


def test_medium_digits_see_the_average_of_all_positions():
    network = RLadder(rladder_medium_digits(low=2, high=3, units=5, classes=4), (1, 32, 32))
    sizes = [(1, 32), *[(2, 32)] * 2, (2, 16), *[(3, 16)] * 2, (3, 8), (6, 8), (6, 4), (6, 4), (6, 1)]
    assert network.shapes == [*[(c, n, n) for c, n in sizes], (5,), (4,)]
    assert network.recurrent == [1, 4, 11]
    output = network(torch.rand(2, 2, 1, 32, 32))
    assert output.prediction.shape == (2, 2, 1, 32, 32)
    torch.autograd.backward(output[:2], [torch.randn_like(y) for y in output[:2]])
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize(
    ("levels", "frames", "recurrent"), [(static_medium_digits, 1, []), (temporal_medium_digits, 5, [11])]
)
def test_baselines_are_as_deep_as_medium_digits(levels, frames, recurrent):
    network = RLadder(levels(low=2, high=3), (1, 32, 32), steps=frames, decoder=False)
    beside = RLadder(rladder_medium_digits(low=2, high=3), (1, 32, 32))
    assert network.shapes == [*beside.shapes[:11], *([(32,)] if recurrent else []), (10,)]
    convolutions = [shape for name, shape in weights(network.encoder).items() if "convolution" in name]
    assert [shape[0] for shape in convolutions] == [2, 2, 3, 3, 6, 6]
    assert network.recurrent == recurrent
    assert_classifies(network, torch.rand(2, frames, 1, 32, 32))


def test_rladder_music():
    network = RLadder(rladder_music(), (1, 88))
    widths = [(1, 88), (32, 88), (64, 44), (96, 22), (128, 11), (160, 6), (160, 3), (96,)]
    assert network.shapes == widths
    shapes = weights(network)
    assert [shapes[f"decoder.{level}.top_projection.weight"] for level in range(5)] == [
        (3, 32, 3), (64, 96, 3), (96, 192, 3), (128, 288, 3), (160, 384, 3)
    ]  # fmt: skip
    assert [network.decoder[str(level)].top_projection.stride[0] for level in range(5)] == [1, 2, 2, 2, 2]
    assert shapes["decoder.5.projection.weight"] == (960, 480)
    assert shapes["decoder.6.projection.weight"] == (480, 96)
    output = network(torch.rand(2, 3, 1, 88).round())
    assert output.prediction.shape == (2, 3, 1, 88)
    assert output.logits is None
    assert [row.decoded.shape[1:] for row in output.state] == [*widths[1:6], (96,)]
    output.prediction.backward(torch.randn_like(output.prediction))
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_rtagger_textures():
    network = RLadder(rtagger_textures(), (4, 96, 96), steps=3).eval()
    sizes = [(4, 96), *[(96, 48)] * 3, *[(192, 24)] * 3, *[(192, 12)] * 3, (11, 6), (11, 1)]
    assert network.shapes == [*[(c, n, n) for c, n in sizes], (11,)]
    assert network.recurrent == [1, 4, 7, 10]
    shapes = weights(network)
    assert shapes["encoder.0.input_projection.weight"] == (384, 4, 8, 8)
    assert shapes["encoder.0.hidden_projection.weight"] == (384, 96, 5, 5)
    assert shapes["encoder.3.feedback_projection.weight"] == (768, 192, 3, 3)
    assert shapes["decoder.0.projection.weight"] == (96, 4, 8, 8)
    assert shapes["decoder.11.projection.weight"] == (11, 11)
    assert all(network.encoder[row].preactivation.running_mean.shape[0] == 3 for row in (0, 3, 6, 9))
    with torch.no_grad():
        output = network(torch.rand(1, 1, 4, 96, 96))
    assert output.prediction.shape == (1, 1, 4, 96, 96)
    assert output.logits.shape == (1, 1, 11)
    assert [row.decoded.shape[1:] for row in output.state] == [network.shapes[level] for level in network.recurrent]


@pytest.mark.parametrize(
    ("levels", "size", "below"),
    [(rtagger_shapes, 20, (48, 5, 5)), (rtagger_small_motion, 32, (48, 8, 8)), (rtagger_moving_mnist, 64, (11, 4, 4))],
)
def test_a_narrow_row_stands_on_the_average_over_all_positions(levels, size, below):
    whole = RLadder(levels(units=7), (4, size, size))
    assert whole.shapes[-3:] == [below, (below[0], 1, 1), (7,)]
    assert whole.recurrent[-1] == len(whole.shapes) - 1
    with torch.no_grad():
        assert whole(torch.rand(2, 1, 4, size, size)).prediction.shape == (2, 1, 4, size, size)
    local = RLadder(levels(units=0), (4, size, size))
    assert local.shapes == whole.shapes[:-2]


def test_rtagger_small_textures():
    network = RLadder(rtagger_small_textures(3, 5, 7), (4, 40, 40))
    sizes = [(4, 40), (3, 20), (3, 20), (5, 10), (5, 10), (5, 5), (5, 1)]
    assert network.shapes == [*[(c, n, n) for c, n in sizes], (7,), (11,)]
    assert network.recurrent == [1, 3, 5, 7]
    output = network(torch.rand(2, 2, 4, 40, 40))
    assert output.logits.shape == (2, 2, 11)
    (output.prediction.sum() + output.logits[:, 1, :5].sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


# Numbers of parameters, row by row from the bottom up. All convolutions but those of outputs are without a bias; a
# ConvLSTM has a bias and three gains for each of its four gates, batch normalisation a weight and a bias.


def conv_lstm(below, channels, kernel, state_kernel=None, dims=2):
    projections = below * kernel**dims + 2 * channels * (state_kernel or kernel) ** dims
    return 4 * channels * (projections + 1 + 3)


def conv(below, channels, kernel):
    return channels * below * kernel**2 + 2 * channels


def dense(below, units):
    return units * below + 2 * units


def conv_g3(top, lateral, kernel, lateral_kernel=None):
    hidden = top * (top * kernel**2 + lateral * (lateral_kernel or kernel) ** 2 + 2 + 1)
    return hidden + 3 * lateral * (top + 1)


def conv_g2(top, lateral):
    return 3 * lateral * ((top + lateral) * 3 + 2 + 1) + 3 * 5 * lateral  # filters of 3, and three times f


def conv_g1(top, lateral, kernel):
    return lateral * (top * kernel**2 + 2) + 2 * 5 * lateral


def g1(top, lateral):
    return lateral * (top + 2) + 2 * 5 * lateral  # `top` weights of every output, a gain, a bias, and f twice


TABLE5 = {
    1: (conv_lstm(1, 32, 3), conv_g3(32, 1, 9)),
    2: (conv(32, 32, 3), conv_g3(32, 32, 3)),
    3: (conv(32, 32, 3), conv_g3(32, 32, 3)),
    4: (conv(32, 32, 3), conv_g3(32, 32, 3)),
    5: (2 * 32, conv_g3(32, 32, 6, 3)),
    6: (conv_lstm(32, 32, 3), conv_g3(32, 32, 9)),
    7: (conv(32, 64, 3), conv_g3(64, 32, 3)),
    8: (conv(64, 64, 3), conv_g3(64, 64, 3)),
    9: (conv(64, 64, 3), conv_g3(64, 64, 3)),
    10: (2 * 64, conv_g3(64, 64, 6, 3)),
    11: (conv(64, 128, 3), conv_g3(128, 64, 3)),
    12: (conv(128, 64, 1), conv_g3(64, 128, 3)),
    13: (conv(64, 32, 1), conv_g3(32, 64, 3)),
    14: (2 * 32, g1(512, 2048)),
    15: (4 * 16 * (512 + 16 + 16 + 1), g1(16, 512)),
    16: (dense(16, 10), 0),
}
TABLE7 = [TABLE5[row][0] for row in (2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14)]
TABLE7[0] = conv(1, 32, 3)
TABLE8 = {
    1: (conv_lstm(1, 32, 3, dims=1), conv_g2(32, 1)),
    2: (conv_lstm(32, 64, 3, dims=1), conv_g2(64, 32)),
    3: (conv_lstm(64, 96, 3, dims=1), conv_g2(96, 64)),
    4: (conv_lstm(96, 128, 3, dims=1), conv_g2(128, 96)),
    5: (conv_lstm(128, 160, 3, dims=1), conv_g2(160, 128)),
    6: (2 * 160, g1(480, 960)),
    7: (4 * 96 * (480 + 96 + 96 + 1), g1(96, 480)),
}
TABLE9 = {
    1: (conv_lstm(4, 96, 8, 5), conv_g1(96, 4, 8)),
    2: (conv(96, 96, 5), conv_g1(96, 96, 5)),
    3: (conv(96, 96, 5), conv_g1(96, 96, 5)),
    4: (conv_lstm(96, 192, 4, 3), conv_g1(192, 96, 4)),
    5: (conv(192, 192, 5), conv_g1(192, 192, 5)),
    6: (conv(192, 192, 5), conv_g1(192, 192, 5)),
    7: (conv_lstm(192, 192, 4, 3), conv_g1(192, 192, 4)),
    8: (conv(192, 192, 5), conv_g1(192, 192, 5)),
    9: (conv(192, 192, 5), conv_g1(192, 192, 5)),
    10: (conv_lstm(192, 11, 4, 3), conv_g1(11, 192, 4)),
    11: (2 * 11, 0),
    12: (dense(11, 11), g1(11, 11)),
}


def counts(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("levels", "shape", "rows"),
    [
        (rladder_occluded_digits, (1, 32, 32), TABLE5),
        (rladder_music, (1, 88), TABLE8),
        (rtagger_textures, (4, 96, 96), TABLE9),
    ],
    ids=["Table 5", "Table 8", "Table 9"],
)
def test_every_row_has_the_parameters_counted_by_hand(levels, shape, rows):
    network = RLadder(levels(), shape)
    found = dict(enumerate(map(counts, network.encoder), start=1))
    assert found == {row: encoder for row, (encoder, _) in rows.items()}
    found = {row: counts(network.decoder[str(row - 1)]) if str(row - 1) in network.decoder else 0 for row in rows}
    assert found == {row: decoder for row, (_, decoder) in rows.items()}


def test_every_row_of_the_baselines_has_the_parameters_counted_by_hand():
    temporal = RLadder(temporal_occluded_digits(), (1, 32, 32), decoder=False)
    assert [*map(counts, temporal.encoder)] == [*TABLE7, 4 * 16 * (512 + 16 + 1), dense(16, 10)]
    static = RLadder(static_occluded_digits(), (1, 32, 32), decoder=False)
    assert [*map(counts, static.encoder)] == [*TABLE7, dense(512, 10)]
    # Without a decoder the ConvLSTMs have neither weights nor gains of a feedback.
    hierarchical = RLadder(rladder_occluded_digits(), (1, 32, 32), decoder=False)
    assert counts(hierarchical) == sum(encoder for encoder, _ in TABLE5.values()) - 2 * 128 * (32 * 9 + 1) - 64 * 16


def test_the_cell_that_predicts_starts_small():
    for levels, shape in ((rladder_occluded_digits(), (1, 32, 32)), (rladder_small_digits(), (1, 20, 20))):
        network = RLadder(levels, shape)
        gate, content, other = network.decoder["0"].output_projection.weight.abs().amax((1, 2, 3))
        assert content < 0.2 * gate
        assert other < 0.2 * gate
        assert network.decoder["0"].output_projection.bias.eq(0).all()
