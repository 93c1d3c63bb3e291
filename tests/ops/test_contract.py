"""The contract of every operator (README, "How it is held together"): one test for each point, run for every row."""

from functools import partial

import pytest
import torch
import torch._dynamo
from torch._dynamo.backends.debugging import aot_eager
from torch._subclasses import FakeTensorMode

import fastladder
from bench.memory import saved_bytes
from fastladder import ops, reference
from fastladder.ops.registration import namespace
from tests.ops.contract import (
    ACTIVATION,
    COMPOSITE_ROWS,
    FLOOR,
    LAYOUTS,
    MIXED_ROWS,
    PARAMETER,
    ROWS,
    assert_as_good_as_reference,
    distance,
    evaluate,
)

SHAPE = (3, 5, 7, 2)
SHAPES = [(0, 3, 4), (2, 3, 0), (1, 1), (1, 1, 1, 1), (4, 6), (2, 17, 3), (3, 2, 4, 5), (5, 3, 37), (2, 2, 3, 2, 3)]
SHAPES += [(3, 1, 6), (2, 32, 5)]  # a single group, and as many as there may be

every_row = pytest.mark.parametrize("row", ROWS + MIXED_ROWS + COMPOSITE_ROWS, ids=lambda row: row.name)
every_kernel = pytest.mark.parametrize("row", ROWS + MIXED_ROWS, ids=lambda row: row.name)
pytestmark = pytest.mark.usefixtures("fused")


@every_row
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_size_and_rank(row, shape, device):
    # Where a norm is over a single number, the deviation of 1 / sqrt(eps) = 316 multiplies roundings of 6e-8 in a
    # gradient that is truly zero.
    alone = {(1, 1), (1, 1, 1, 1)}
    assert_as_good_as_reference(row, row.inputs(shape, device=device), floor=1e-3 if shape in alone else FLOOR)


@every_row
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout(row, layout, device):
    if layout == "expanded" and row.is_sequence:
        pytest.skip("numbers that are normalised together would all be the same")
    inputs = row.inputs(SHAPE, device=device, layout=layout)
    assert_as_good_as_reference(row, inputs)
    if layout in ("contiguous", "channels_last"):
        kept = LAYOUTS[layout if row.keeps_layout else "contiguous"]
        assert all(y.stride() == kept(y).stride() for y in row.call(*inputs) if y.dim() > 1)


@every_row
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_any_dtype(row, dtype, device):
    assert_as_good_as_reference(row, row.inputs((3, 5, 37), dtype=dtype, device=device))


@every_row
def test_large_sample(row, device):
    # More elements than one vector, chunk or block holds.
    inputs = row.inputs((2, 3, 41, 43), device=device)
    floor = FLOOR
    if "norm" in row.options:
        # A mean of 100 in float32 is off by up to 4e-6, and gains and slopes of up to 4 amplify that in one
        # or the other; a variance from the mean of squares would err by 1e-2.
        inputs[0], floor = inputs[0] + 100, 2e-4
    assert_as_good_as_reference(row, inputs, floor)


@pytest.mark.parametrize("row", [row for row in ROWS if row.keeps_layout], ids=lambda row: row.name)
def test_wide_dense_layer(row, device):
    # Rows of more than two pages, in more units than one.
    assert_as_good_as_reference(row, row.inputs((37, 2070), device=device))


@every_row
def test_float64(row, has_float64):
    if not has_float64:
        pytest.skip("float64 is for the CPU kernels and the reference")
    inputs = row.inputs(SHAPE, dtype=torch.float64)
    got, truth = evaluate(row, inputs), evaluate(row, inputs, where=reference)
    assert all(distance(x, y) < 1e-12 for x, y in zip(got, truth, strict=True))


@every_row
def test_gradcheck(row, has_float64):
    if not has_float64:
        pytest.skip("float64 is for the CPU kernels and the reference")
    inputs = [x.requires_grad_() for x in row.inputs((2, 2, 3), dtype=torch.float64)]
    assert torch.autograd.gradcheck(row.call, inputs)


@every_row
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_go_where_they_go_in_the_reference(row, value, device):
    for disturbed, argument in enumerate(row.arguments.values()):
        if argument.kind != PARAMETER:
            inputs = row.inputs((3, 4, 6), device=device)
            inputs[disturbed].view(-1)[inputs[disturbed].numel() // 2] = value
            outputs, expected = row.call(*inputs), row.call(*inputs, where=reference)
            for got, truth in zip(outputs, expected, strict=True):
                assert torch.equal(got.isnan(), truth.isnan())
                assert torch.equal(got.isinf(), truth.isinf())


@every_row
def test_unused_output(row, device):
    if row.outputs == 1:
        pytest.skip("has one output only")
    for unused in range(row.outputs):
        assert_as_good_as_reference(row, row.inputs(SHAPE, device=device), unused=unused)


@every_row
def test_backward_twice(row, device):
    inputs = [x.requires_grad_() for x in row.inputs(SHAPE, device=device)]
    outputs = row.call(*inputs)
    cotangents = [torch.randn_like(y) for y in outputs]
    first = torch.autograd.grad(outputs, inputs, cotangents, retain_graph=True)
    second = torch.autograd.grad(outputs, inputs, cotangents)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@every_row
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_inputs_are_not_written_and_results_are_fresh(row, layout, device):
    inputs = row.inputs(SHAPE, device=device, layout=layout)
    before = [x.clone() for x in inputs]
    results = evaluate(row, inputs)
    assert all(torch.equal(x, y) for x, y in zip(inputs, before, strict=True))
    owners = {x.untyped_storage().data_ptr() for x in inputs}
    assert not owners & {y.untyped_storage().data_ptr() for y in results}


@every_row
def test_same_bits_every_run(row, device):
    inputs = row.inputs((5, 7, 9, 11), device=device)
    runs = [evaluate(row, inputs) for _ in range(3)]
    assert all(torch.equal(x, y) for other in runs[1:] for x, y in zip(runs[0], other, strict=True))


@every_row
def test_every_element_is_written(row, device):
    inputs = row.inputs((3, 5, 19), device=device)
    torch.use_deterministic_algorithms(True)  # new memory is filled with NaN
    try:
        results = evaluate(row, inputs)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(y.isfinite().all() for y in results)


def raw_arguments(row, inputs):
    """The arguments of the registered operator, in the order of its schema."""
    given = dict(zip(row.arguments, inputs, strict=True)) | {"eps": 1e-5, "keeps": True} | row.options
    if row.projections:
        given["projections"] = inputs[: row.projections]
    if "noise_variance" in given:  # the public function adds them up
        given["variance"] = given["variance"] + given["noise_variance"]
    if row.operator == "ladder_combine":  # its weights are a1 to a5, the content, and a6 to a10, the gate
        content, gate = (half.detach().requires_grad_() for half in given["weights"].split(5))
        given |= {"projection": given["top"], "gate": gate, "content": content, "norm": "none"}
    return given


@every_kernel
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_opcheck(row, layout, device, backend):
    inputs = [x.requires_grad_() for x in row.inputs((2, 3, 5), device=device, layout=layout)]
    operator = getattr(namespace(backend), row.registered).default
    given = raw_arguments(row, inputs)
    arguments = [given.get(argument.name) for argument in operator._schema.arguments]
    torch.library.opcheck(operator, arguments)


@every_row
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_fake_tensors_have_the_same_shape_stride_and_dtype(row, layout, device):
    inputs = row.inputs(SHAPE, device=device, layout=layout)
    with FakeTensorMode() as mode:
        fakes = evaluate(row, [mode.from_tensor(x) for x in inputs])
    for real, fake in zip(evaluate(row, inputs), fakes, strict=True):
        assert (real.shape, real.stride(), real.dtype) == (fake.shape, fake.stride(), fake.dtype)


@pytest.mark.parametrize(
    "row", [*{row.operator: row for row in ROWS}.values(), MIXED_ROWS[-1]], ids=lambda row: row.name
)
def test_compiles_without_breaks_or_recompilation(row, device, backend):
    torch._dynamo.reset()
    called = []

    def recorded(graph, inputs):
        called.extend(node.target for node in graph.graph.nodes)
        return aot_eager(graph, inputs)

    compiled = torch.compile(row.call, fullgraph=True, backend=recorded, dynamic=True)
    for batch in (11, 13, 19):  # unlike any other size, which compilation would take for the same
        inputs = [x.requires_grad_() for x in row.inputs((batch, *SHAPE[1:]), device=device)]
        with torch._dynamo.config.patch(error_on_recompile=True):
            outputs = compiled(*inputs)
        expected = row.call(*inputs)
        cotangents = [torch.randn_like(y) for y in outputs]
        got = torch.autograd.grad(outputs, inputs, cotangents)
        truth = torch.autograd.grad(expected, inputs, cotangents)
        for x, y in zip([*outputs, *got], [*expected, *truth], strict=True):
            torch.testing.assert_close(x, y)
    fused = getattr(namespace(backend), row.registered)
    assert fused in called or fused.default in called


@every_row
def test_autocast(row, device):
    """Activations become narrow, and recurrent states stay float32."""
    inputs = row.inputs(SHAPE, dtype=torch.float32, device=device)
    with torch.autocast(device.type, dtype=torch.bfloat16):
        outputs = row.call(*inputs)
    kinds = [argument.kind for argument in row.arguments.values()]
    narrow = [x.bfloat16() if kind == ACTIVATION else x for x, kind in zip(inputs, kinds, strict=True)]
    assert row.only_sums or torch.bfloat16 in {y.dtype for y in outputs}  # one may be a sum or a state, in float32
    for got, expected in zip(outputs, row.call(*narrow), strict=True):
        assert got.dtype == expected.dtype
        assert torch.equal(got, expected)


@every_kernel
def test_saves_its_inputs_and_statistics_only(row, device):
    inputs = row.inputs((4, 8, 16, 16), device=device)
    fused, eager = (saved_bytes(partial(row.call, where=where), inputs) for where in (ops, reference))
    first = row.call(*inputs)[0]
    steps = first.shape[0] if row.is_sequence else 1
    # Mean and reciprocal deviation, of every projection and group or channel; a few hundred numbers at most.
    assert fused <= row.kept * first.nbytes + steps * 2 * 4 * 3 * 4 * 8 * 4
    assert fused < eager / (1 if row.is_sequence else 20)


@every_row
def test_cuda_graph_capture(row, device):
    if device.type != "cuda":
        pytest.skip("CUDA graphs need a CUDA device")
    inputs = row.inputs(SHAPE, device=device)
    evaluate(row, inputs)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = row.call(*inputs)
    graph.replay()
    assert all(torch.equal(x, y) for x, y in zip(outputs, row.call(*inputs), strict=True))


def test_every_registered_operator_has_a_row():
    from fastladder.ops.registration import OPERATORS

    assert {row.registered for row in ROWS} == {operator.name for operator in OPERATORS}
    assert {row.operator for row in ROWS + COMPOSITE_ROWS} == set(ops.__all__) == set(reference.__all__)


def test_contract_runs_on_the_backend_asked_for(backend, device):
    assert fastladder.backends.select_backend("lstm_gates", device, torch.float32) == backend
