"""Every module can be copied, stored, moved, compiled and exported, and every parameter learns."""

import copy
import io
import pickle

import pytest
import torch
from torch._dynamo import compiled_autograd

from fastladder.nn import FastDropoutLinear
from tests.nn.modules import MODULES, cast, tensors


@pytest.fixture(params=MODULES)
def module(request):
    torch.manual_seed(1)
    return MODULES[request.param]


def assert_same(a, b, **tolerance):
    for x, y in zip(tensors(a), tensors(b), strict=True):
        torch.testing.assert_close(x, y, **tolerance)


def test_copies_and_stored_states_compute_the_same(module):
    make, inputs = module
    original, arguments = make().eval(), inputs()
    needed = original(*arguments)
    stored = io.BytesIO()
    torch.save(original.state_dict(), stored)
    stored.seek(0)
    loaded = make().eval()
    loaded.load_state_dict(torch.load(stored, weights_only=True))
    for twin in (copy.deepcopy(original), pickle.loads(pickle.dumps(original)), loaded):
        assert_same(twin(*arguments), needed)
    assert str(original).startswith(type(original).__name__ + "(")


def test_every_parameter_gets_a_gradient(module):
    make, inputs = module
    network = make()
    outputs = tensors(network(*inputs()))
    torch.autograd.backward(outputs, [torch.randn_like(y) for y in outputs])
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_reset_draws_new_weights(module):
    make, _ = module
    network = make()
    all_drawn = isinstance(network, FastDropoutLinear)
    before = {name: p.clone() for name, p in network.named_parameters()}
    for p in network.parameters():
        torch.nn.init.constant_(p, 7)
    network.reset_parameters()
    for name, p in network.named_parameters():
        drawn = all_drawn or ("projection" in name and "output_projection.bias" not in name)
        assert p.equal(before[name]) is not drawn, name
        assert not p.eq(7).any()


def test_factory_arguments(module):
    make, inputs = module
    assert all(p.is_meta for p in make(device="meta").state_dict().values())
    network = make(dtype=torch.float64)
    outputs = tensors(network(*cast(inputs(), dtype=torch.float64)))
    assert {y.dtype for y in outputs} == {p.dtype for p in network.state_dict().values()} == {torch.float64}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_dtypes(module, dtype):
    make, inputs = module
    network, arguments = make(), inputs()
    needed = network(*arguments)
    narrow = copy.deepcopy(network).to(dtype)(*cast(arguments, dtype=dtype))
    assert {y.dtype for y in tensors(narrow)} == {dtype}
    assert_same(cast(narrow, dtype=torch.float32), needed, rtol=0.05, atol=0.1)


def test_autocast(module):
    make, inputs = module
    network, arguments = make(), inputs()
    needed = network(*arguments)
    with torch.autocast("cpu", torch.bfloat16):
        assert_same(cast(network(*arguments), dtype=torch.float32), needed, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("name", ["ConvLSTMCell", "ConvGRUCell", "ConvG1", "ConvG2", "ConvG3", "StepBatchNorm"])
def test_channels_last(name):
    make, inputs = MODULES[name]
    network, arguments = make(), inputs()
    needed = network(*arguments)
    last = network.to(memory_format=torch.channels_last)
    outputs = last(*cast(arguments, memory_format=torch.channels_last))
    assert_same(outputs, needed)
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in tensors(outputs))


def test_a_backward_pass_is_compiled_without_a_graph_break(module):
    make, inputs = module
    network, arguments = make(), inputs()
    outputs = tensors(network(*arguments))
    cotangents = [torch.randn_like(y) for y in outputs]
    expected = torch.autograd.grad(outputs, list(network.parameters()), cotangents, retain_graph=True)
    torch.compiler.reset()
    with compiled_autograd._enable(torch.compile(backend="eager", fullgraph=True)):
        torch.autograd.backward(outputs, cotangents)
    assert_same([p.grad for p in network.parameters()], list(expected))


@pytest.mark.parametrize("training", [True, False])
def test_compiles_without_a_graph_break(module, training):
    make, inputs = module
    # In float64, since compiled modules call every convolution where others may join them, which rounds differently.
    network = make().double().train(training)
    reference, arguments = copy.deepcopy(network), cast(inputs(), dtype=torch.float64)
    torch.compiler.reset()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    outputs, needed = compiled(*arguments), reference(*arguments)
    assert_same(outputs, needed)
    cotangents = [torch.randn_like(y) for y in tensors(needed)]
    torch.autograd.backward(tensors(outputs), cotangents)
    torch.autograd.backward(tensors(needed), cotangents)
    for ours, theirs in zip(network.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    assert_same(list(network.buffers()), list(reference.buffers()))


def test_exports(module):
    make, inputs = module
    network, arguments = make().eval(), inputs()
    exported = torch.export.export(network, arguments)
    assert_same(exported.module()(*arguments), network(*arguments))
