"""lstm_gates beyond the contract: the dtype of its state, which adds up over many steps, and errors."""

import math

import pytest
import torch

import fastladder
from fastladder import ops
from fastladder.ops.registration import namespace

STEPS = 500
GATES = (-4.0, 8.0, 0.5, 0.0)  # i, f, g, o before their functions; every dtype holds these numbers

double, single, half, brain = torch.float64, torch.float32, torch.float16, torch.bfloat16


@pytest.fixture(params=["fused", "reference"], autouse=True)
def chosen(request, backend):
    with fastladder.use_backend(backend if request.param == "fused" else "reference"):
        yield request.param


def after_many_steps(projections, cell):
    for _ in range(STEPS):
        hidden, cell = ops.lstm_gates(projections, cell)
    return hidden, cell


def gates(dtype, device):
    return torch.tensor([GATES], dtype=dtype, device=device)


@pytest.mark.parametrize("autocast", [False, True])
def test_state_of_float32_keeps_adding_up(autocast, device):
    """A state of bfloat16 stops at 2: there half the distance of two numbers is more than a step adds."""
    i, f, g = (1 / (1 + math.exp(-GATES[0])), 1 / (1 + math.exp(-GATES[1])), math.tanh(GATES[2]))
    expected = i * g * (1 - f**STEPS) / (1 - f)
    with torch.autocast(device.type, brain, enabled=autocast):
        projections = gates(single if autocast else brain, device)
        hidden, cell = after_many_steps(projections, torch.zeros(1, 1, device=device))
    assert cell.dtype == single
    assert cell.item() == pytest.approx(expected, rel=1e-4)
    assert hidden.dtype == brain
    assert hidden.item() == pytest.approx(0.5 * math.tanh(expected), rel=2**-8)
    _, narrow = after_many_steps(gates(brain, device), torch.zeros(1, 1, dtype=brain, device=device))
    assert narrow.item() == 2


@pytest.mark.parametrize(
    ("of_projections", "of_cell"),
    [(single, single), (brain, brain), (half, half), (brain, single), (half, single)],
    ids=str,
)
def test_every_result_has_the_dtype_of_what_it_follows(of_projections, of_cell, device):
    projections = gates(of_projections, device).requires_grad_()
    cell = torch.ones(1, 1, dtype=of_cell, device=device, requires_grad=True)
    hidden, new_cell = ops.lstm_gates(projections, cell)
    assert (hidden.dtype, new_cell.dtype) == (of_projections, of_cell)
    (hidden.sum() + new_cell.sum()).backward()
    assert (projections.grad.dtype, cell.grad.dtype) == (of_projections, of_cell)


@pytest.mark.parametrize(("came", "kept"), [(single, single), (brain, brain), (half, brain)], ids=str)
def test_autocast_takes_narrow_states_to_its_dtype(came, kept, device):
    with torch.autocast(device.type, brain):
        _, cell = ops.lstm_gates(gates(single, device), torch.ones(1, 1, dtype=came, device=device))
    assert cell.dtype == kept


@pytest.mark.parametrize(
    ("of_projections", "of_cell", "needs"),
    [(single, brain, "Float"), (double, single, "Double"), (brain, half, "BFloat16"), (half, brain, "Half")],
    ids=str,
)
def test_registered_operator_checks_the_dtype_of_the_state(of_projections, of_cell, needs, device, backend):
    if backend != "native":
        pytest.skip("the Triton operators leave the checks to the public function")
    if device.type == "cuda" and double in (of_projections, of_cell):
        pytest.skip("float64 is for the CPU kernels and the reference")
    cell = torch.zeros(1, 1, dtype=of_cell, device=device)
    with pytest.raises(RuntimeError, match=f"cell: got dtype .*, needs {needs} like the projections"):
        namespace(backend).lstm_gates([gates(of_projections, device)], cell, None, None, "none", 1e-5)


@pytest.mark.parametrize(
    ("of_projections", "of_cell", "needs"),
    [
        (torch.float32, torch.bfloat16, r"torch.float32 like projections\[0\]$"),
        (torch.float32, torch.float64, r"torch.float32 like projections\[0\]$"),
        (torch.float64, torch.float32, r"torch.float64 like projections\[0\]$"),
        (torch.bfloat16, torch.float16, r"torch.bfloat16 like projections\[0\], or torch.float32$"),
        (torch.float16, torch.float64, r"torch.float16 like projections\[0\], or torch.float32$"),
    ],
)
def test_dtype_of_a_state(of_projections, of_cell, needs):
    with pytest.raises(TypeError, match=f"^cell: got dtype {of_cell}, needs {needs}"):
        ops.lstm_gates(torch.zeros(2, 12, dtype=of_projections), torch.zeros(2, 3, dtype=of_cell))


def test_projections_of_several_dtypes():
    narrow, wide = torch.zeros(2, 12, dtype=torch.bfloat16), torch.zeros(2, 12)
    with pytest.raises(TypeError, match=r"^projections\[1\]: got dtype torch.float32, needs torch.bfloat16 like proj"):
        ops.lstm_gates([narrow, wide], torch.zeros(2, 3))
