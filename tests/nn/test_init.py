"""Initial weights of fast-dropout RNNs."""

import pytest
import torch

from fastladder.nn.init import sparse_normal_, spectral_radius_


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


@pytest.mark.parametrize("inputs", [1, 7, 15, 88, 200, 600])
@pytest.mark.parametrize("connections", [1, 15, 49])
def test_every_unit_has_so_many_incoming_connections(inputs, connections):
    weight = torch.full((50, inputs), torch.nan)
    assert sparse_normal_(weight, 0.1, connections) is weight
    assert weight.ne(0).sum(dim=1).tolist() == [min(inputs, connections)] * 50


def test_what_is_not_zero_is_normal():
    weight = sparse_normal_(torch.empty(1000, 100), 0.3, 20)
    drawn = weight[weight != 0]
    assert drawn.mean().abs() < 0.01
    assert drawn.std().item() == pytest.approx(0.3, abs=0.01)
    assert weight.ne(0).sum(dim=0).float().std() > 5  # in other places for each unit


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_spectral_radius(dtype):
    weight = torch.nn.Parameter(sparse_normal_(torch.empty(40, 40), 0.1, 15).to(dtype))
    direction = weight.detach().double() / weight.detach().double().norm()
    assert spectral_radius_(weight, 1.1) is weight
    radius = torch.linalg.eigvals(weight.detach().double()).abs().max().item()
    assert radius == pytest.approx(1.1, rel=0.02 if dtype == torch.bfloat16 else 1e-5)
    after = weight.detach().double() / weight.detach().double().norm()
    torch.testing.assert_close(after, direction, rtol=0.01, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sparse_normal_(torch.empty(3), 1, 2), ValueError, r"weight: got shape \(3,\), needs"),
        (lambda: sparse_normal_(torch.empty(3, 3), 1, 0), ValueError, "connections: got 0"),
        (lambda: spectral_radius_(torch.ones(2, 3), 1), ValueError, r"weight: got shape \(2, 3\), needs"),
        (lambda: spectral_radius_(torch.ones(2, 2), -1), ValueError, "radius: got -1"),
        (lambda: spectral_radius_(torch.ones(2, 2).triu(1), 1), ValueError, "weight: got a matrix whose eigenvalues"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
