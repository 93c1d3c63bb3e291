"""The Ladder network: its passes up and down, copies, precisions, and the errors of wrong arguments."""

import copy
import io
import math
import pickle

import pytest
import torch

from fastladder.models import LadderNetwork
from fastladder.models.ladder import Conv, Dense, MaxPool
from tests.models.ladder.written_out import CONV, WEIGHTS, assert_same_gradients, batch, decode, encode, labels, tiny
from tests.shuffled import shuffled


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("top", ["softmax", "relu"])
@pytest.mark.parametrize("squash_gate", [False, True])
def test_up_and_down_written_out(norm, top, squash_gate):
    network, x = tiny(norm=norm, top_activation=top, squash_gate=squash_gate, track_running_stats=False), batch()
    output = network.reconstruct(x)
    _, laterals, logits, hidden = encode(network, x, norm, top)
    estimate, _, _ = decode(network, laterals, hidden, norm, squash_gate)
    for ours, needed in zip(output, (estimate, hidden, logits), strict=True):
        torch.testing.assert_close(ours, needed)
    torch.testing.assert_close(network(x), logits)
    pair = (output, (estimate, hidden, logits))
    assert_same_gradients(network, *(sum(y.square().sum() for y in outputs) for outputs in pair))


def test_initial_weights():
    network = LadderNetwork((9, 30), (Dense(400), 300))
    for layer in (*network.encoder, *network.inverses):
        weight = layer.projection.weight if hasattr(layer, "projection") else layer.weight
        assert weight.std().item() == pytest.approx(weight.shape[1] ** -0.5, rel=0.05)
    network = LadderNetwork((3, 9, 9), (Conv(7, 4), Conv(60, 4)), top_activation="relu")
    for module, fan_in in zip((network.encoder[1].projection, network.inverses[1]), (7 * 16, 60 * 16), strict=True):
        bound = math.sqrt(3 / fan_in)
        assert 0.98 * bound < module.convolution.weight.abs().max().item() <= bound


def test_copies_and_stored_states_compute_the_same():
    network, x = tiny(), batch()
    network.costs(batch(), labels(), batch(), WEIGHTS)
    network.eval()
    stored = io.BytesIO()
    torch.save(network.state_dict(), stored)
    stored.seek(0)
    loaded = LadderNetwork(6, (5, 4), dtype=torch.float64).eval()
    loaded.load_state_dict(torch.load(stored, weights_only=True))
    for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), loaded):
        for ours, needed in zip(twin.reconstruct(x), network.reconstruct(x), strict=True):
            assert ours.equal(needed)
    assert str(network).startswith("LadderNetwork(\n  (6,), norm='batch', top_activation='softmax'")


def test_reset_forgets_everything():
    network, fresh = tiny(), LadderNetwork(6, (5, 4), dtype=torch.float64).state_dict()
    before = copy.deepcopy(network.state_dict())
    network.costs(batch(), labels(), batch(), WEIGHTS)
    network.reset_parameters()
    for name, value in network.state_dict().items():
        drawn = "projection" in name or "inverses" in name
        assert value.equal(fresh[name]) is not drawn, name
        assert not drawn or not value.equal(before[name])


@pytest.mark.parametrize("levels", [(5, 4), CONV], ids=["dense", "convolutional"])
def test_compiles_without_a_graph_break(levels):
    shape = (6,) if levels == (5, 4) else (2, 7, 8)
    network = shuffled(LadderNetwork(shape, levels))
    reference, x, y = copy.deepcopy(network), torch.randn(8, *shape), torch.randn(6, *shape)
    torch.compiler.reset()
    costs = torch.compile(network.costs, fullgraph=True, backend="aot_eager")
    reconstruct = torch.compile(network.reconstruct, fullgraph=True, backend="aot_eager")
    for _ in range(2):
        torch.manual_seed(5)
        ours = costs(x, labels(), y, 1.0)
        torch.manual_seed(5)
        needed = reference.costs(x, labels(), y, 1.0)
        torch.testing.assert_close(ours, needed)
    ours.total.backward()
    needed.total.backward()
    for ours, needed in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, needed.grad, rtol=1e-4, atol=1e-4)
    for ours, needed in zip(network.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours, needed)
    for ours, needed in zip(reconstruct(x), reference.reconstruct(x), strict=True):
        torch.testing.assert_close(ours, needed)


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_dtypes_and_autocast(norm, dtype):
    network, x = tiny(norm=norm, dtype=torch.float32, squash_gate=True), torch.randn(32, 6)
    reference = copy.deepcopy(network)
    needed, costs = reference.reconstruct(x), reference.costs(x, labels(32), x, 1.0, 0.0)
    narrow = copy.deepcopy(network).to(dtype)
    outputs = narrow.reconstruct(x.to(dtype))
    assert {y.dtype for y in outputs} == {dtype}
    for ours, theirs in zip(outputs, needed, strict=True):
        torch.testing.assert_close(ours.float(), theirs, rtol=0.1, atol=0.15)
    assert narrow.costs(x.to(dtype), labels(32), x.to(dtype), 1.0, 0.0).total.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(network.costs(x, labels(32), x, 1.0, 0.0).total, costs.total, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: LadderNetwork(0, (5,)), ValueError, "input_shape: got 0"),
        (lambda: LadderNetwork((1, 2, 3, 4, 5), (5,)), ValueError, r"input_shape: got \(1, 2, 3, 4, 5\)"),
        (lambda: LadderNetwork(6, ()), TypeError, r"levels: got \(\)"),
        (lambda: LadderNetwork(6, 5), TypeError, "levels: got 5"),
        (lambda: LadderNetwork(6, (5, "4")), TypeError, r"levels: got \(5, '4'\)"),
        (lambda: LadderNetwork(6, (5, 0)), ValueError, "units: got 0"),
        (lambda: LadderNetwork(6, (5, True)), TypeError, r"levels: got \(5, True\)"),
        (lambda: LadderNetwork(6, (5, Conv(3, 3))), ValueError, r"levels\[1\]: got \(5,\)"),
        (lambda: LadderNetwork((1, 4, 4), (Conv(3, 5),)), ValueError, r"levels\[0\]: Conv.* leaves nothing"),
        (lambda: LadderNetwork((1, 4, 4), (Conv(3, 3),)), ValueError, r"levels: got a top of shape \(3, 2, 2\)"),
        (lambda: Conv(3, 3, "same"), ValueError, "padding: got 'same'"),
        (lambda: MaxPool(0), ValueError, "stride: got 0"),
        (lambda: tiny(norm="none"), ValueError, "norm: got 'none'"),
        (lambda: tiny(activation="tanh"), ValueError, "activation: got 'tanh'"),
        (lambda: tiny(top_activation="linear"), ValueError, "top_activation: got 'linear'"),
        (lambda: tiny(squash_gate=1), TypeError, "squash_gate: got 1"),
        (lambda: tiny(track_running_stats=None), TypeError, "track_running_stats: got None"),
        (lambda: tiny(eps=0.0), ValueError, "eps: got 0"),
        (lambda: tiny()(None), TypeError, "input: got NoneType"),
        (lambda: tiny()(batch(8, 5)), ValueError, r"input: got shape \(8, 5\), needs \(N, 6\)"),
        (lambda: tiny()(batch().float()), TypeError, "input: got dtype torch.float32"),
        (lambda: tiny()(batch(1)), ValueError, "input: got 1 sample, needs 2"),
        (lambda: tiny().eval().reconstruct(batch(1)), ValueError, "input: got 1 sample, needs 2"),
        (lambda: tiny(track_running_stats=False).eval()(batch(1)), ValueError, "input: got 1 sample, needs 2"),
        (lambda: tiny().costs(batch(8, 5), labels(), batch(), 1.0), ValueError, "labelled_input: got shape"),
        (lambda: tiny().costs(batch(), labels(), batch(8, 5), 1.0), ValueError, "unlabelled_input: got shape"),
        (lambda: tiny().costs(batch(), labels(7), batch(), 1.0), ValueError, r"labels: got .* needs int64 \(8,\)"),
        (lambda: tiny().costs(batch(), [0] * 8, batch(), 1.0), TypeError, r"labels: got list"),
        (lambda: tiny().costs(batch(), labels(), batch(), (1, 2)), ValueError, r"denoising_weights: got \(1, 2\)"),
        (lambda: tiny().costs(batch(), labels(), batch(), -1.0), ValueError, "denoising_weights: got -1.0"),
        (lambda: tiny().costs(batch(), labels(), batch(), 1.0, math.nan), ValueError, "noise: got nan"),
        (lambda: tiny(top_activation="relu").costs(batch(), labels(), batch(), 1.0), ValueError, "top_activation: got"),
        (lambda: tiny().estimate_statistics([]), ValueError, "batches: got none"),
        (lambda: tiny().estimate_statistics([batch(8, 5)]), ValueError, "batches: got shape"),
        (lambda: tiny(norm="layer").estimate_statistics([batch()]), ValueError, "track_running_stats"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
