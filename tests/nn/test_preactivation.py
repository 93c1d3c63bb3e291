"""The running statistics of the normalised sum of projections in cells."""

import copy

import pytest
import torch
from torch.nn import functional

import fastladder
from fastladder.backends import select_backend
from fastladder.nn import G1, ConvG1, ConvG2, ConvG3, ConvLSTMCell
from tests.shuffled import shuffled


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: G1(3, 4, steps=2),
        lambda: ConvG1(3, 4, 3, steps=2),
        lambda: ConvG2(3, 4, 3, norm="batch", steps=2),
        lambda: ConvG3(3, 4, 5, 3, norm="batch", steps=2),
    ],
)
def test_a_decoder_cell_evaluates_on_the_statistics_of_its_step(make):
    cell = shuffled(make())
    cell.preactivation.momentum = 1.0
    spatial = (6,) * cell.dims
    inputs = [(torch.randn(200, 3, *spatial) * k, torch.randn(200, 4, *spatial) * k) for k in (1, 3)]
    trained = [cell(*pair, step=step) for step, pair in enumerate(inputs)]
    cell.eval()
    for step in (0, 1):
        torch.testing.assert_close(cell(*inputs[step], step=step), trained[step], rtol=0, atol=0.1)
    assert (cell(*inputs[1], step=0) - trained[1]).abs().max() > 0.5


def test_a_recurrent_cell_evaluates_on_the_statistics_of_its_step():
    cell = shuffled(ConvLSTMCell(2, 3, 3, norm="batch", dims=1, steps=2))
    cell.preactivation.momentum = 1.0  # running statistics are those of the last batch
    batches = [torch.randn(64, 2, 9) * scale + scale for scale in (1, 3)]
    h, c = torch.randn(64, 3, 9), torch.randn(64, 3, 9)
    trained = [cell(x, (h, c), step=step)[0] for step, x in enumerate(batches)]
    cell.eval()
    for step in (0, 1):
        torch.testing.assert_close(cell(batches[step], (h, c), step=step)[0], trained[step], rtol=0, atol=0.01)
    torch.testing.assert_close(cell(batches[1], (h, c), step=5)[0], trained[1], rtol=0, atol=0.01)  # as the last step
    assert (cell(batches[1], (h, c), step=0)[0] - trained[1]).abs().max() > 0.1


def test_missing_state_updates_running_statistics_as_zeros_do():
    cells = [ConvLSTMCell(3, 4, 3, norm="batch") for _ in range(2)]
    cells[1].load_state_dict(cells[0].state_dict())
    x, zeros = torch.randn(3, 3, 5, 5), torch.zeros(3, 4, 5, 5)
    cells[0](x, (zeros, zeros))
    cells[1](x)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(*(getattr(cell.preactivation, name) for cell in cells))
    assert cells[1].preactivation.running_var[0, 1].eq(0.9).all()


CELLS = {
    "G1": lambda: G1(3, 4, steps=2),
    "ConvG1": lambda: ConvG1(3, 4, 3, steps=2),
    "ConvG2": lambda: ConvG2(3, 4, 3, norm="batch", steps=2),
    "ConvG3": lambda: ConvG3(3, 4, 5, 3, norm="batch", steps=2),
    "ConvLSTMCell": lambda: ConvLSTMCell(3, 4, 3, norm="batch", steps=2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("cell", CELLS)
def test_running_statistics_are_what_the_operator_has_computed(cell, momentum, layout, dtype, monkeypatch):
    if select_backend("gated_combine", torch.device("cpu"), dtype) == "reference":
        pytest.skip("no compiled extension")
    fused = shuffled(CELLS[cell]()).to(dtype)
    fused.preactivation.momentum = momentum
    expected = copy.deepcopy(fused)
    spatial = (5, 5) if "Conv" in cell else ()
    batches = [[torch.randn(4, size, *spatial, dtype=dtype) * 1.5 + 1 for size in (3, 4)] for _ in range(3)]
    if spatial:
        batches = [[x.to(memory_format=layout) for x in batch] for batch in batches]

    def train(network):
        for step, (x, other) in enumerate(batches):  # the first steps of a recurrent cell have no state
            state = other if cell != "ConvLSTMCell" else None if step < 2 else (other, other)
            network(x, state, step=step)

    with fastladder.use_backend("reference"):
        train(expected)
    monkeypatch.setattr(functional, "batch_norm", None)  # which would read the projections once more
    train(fused)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(getattr(fused.preactivation, name), getattr(expected.preactivation, name))
