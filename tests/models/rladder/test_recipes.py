"""The networks of Recurrent Ladder Networks (appendix D): every width, size and weight as its tables print them."""

import pytest
import torch

from fastladder.models import (
    RLadder,
    rladder_music,
    rladder_occluded_digits,
    rladder_small_digits,
    rtagger_textures,
    static_occluded_digits,
    static_small_digits,
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
    assert shapes["15.weight"] == (10, 16)
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
    assert shapes == {**convolutions, **lstm, "13.weight": (10, 16)}
    assert_classifies(network, torch.rand(2, 5, 1, 32, 32))


def test_static_occluded_digits():
    network = RLadder(static_occluded_digits(), (1, 32, 32), decoder=False)
    assert network.shapes == [*[(c, n, n) for c, n in STATIC_SIZES], (10,)]
    assert network.recurrent == []
    convolutions = {f"{row}.convolution.weight": (c, d, k, k) for row, (c, d, k) in STATIC.items()}
    assert weights(network.encoder) == {**convolutions, "12.weight": (10, 512)}
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
