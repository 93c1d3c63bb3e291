"""Meta and fake tensors, and empty batches, go through every module and network."""

import pytest
import torch
from torch._subclasses import FakeTensorMode

import fastladder
from fastladder.nn import LSTM, ConvLSTM, FastDropoutRNN
from tests.nn.modules import MODULES, NETWORKS, cast, tensors

EVERY = {name: (make, inputs, dict) for name, (make, inputs) in MODULES.items()} | NETWORKS
both_backends = pytest.mark.parametrize("backend", ["auto", "reference"])


@pytest.fixture(params=EVERY)
def module(request):
    torch.manual_seed(1)
    return EVERY[request.param]


def forms(outputs):
    return [(tuple(y.shape), y.dtype) for y in tensors(outputs)]


@both_backends
def test_meta_tensors_have_the_shapes_of_real_ones(module, backend):
    make, inputs, keywords = module
    arguments, options = inputs(), keywords()
    with fastladder.use_backend(backend):
        real = forms(make()(*arguments, **options))
        outputs = make(device="meta")(*cast(arguments, device="meta"), **cast(options, device="meta"))
        with torch.device("meta"):
            inside = make()(*inputs(), **keywords())
    assert all(y.is_meta for y in tensors(outputs) + tensors(inside))
    assert forms(outputs) == forms(inside) == real


@both_backends
def test_fake_tensors_have_the_shapes_of_real_ones(module, backend):
    make, inputs, keywords = module
    with fastladder.use_backend(backend):
        real = forms(make()(*inputs(), **keywords()))
        with FakeTensorMode():
            outputs = make()(*inputs(), **keywords())
    assert forms(outputs) == real


@pytest.mark.parametrize("training", [True, False])
def test_an_empty_batch_has_an_empty_result(module, training):
    make, inputs, keywords = module
    network = make().train(training)
    arguments, options = inputs(), keywords()
    batch_dim = 1 if isinstance(network, ConvLSTM | LSTM | FastDropoutRNN) else 0
    batch = arguments[0].shape[batch_dim]

    def emptied(x):
        # Of an argument without a batch, such as a time step, nothing is cut off.
        dims = [d for d in range(min(2, x.dim())) if x.shape[d] == batch][batch_dim:] or [1 if batch_dim else 0]
        return x.narrow(dims[0] if not batch_dim else 1, 0, 0)

    outputs = tensors(network(*torch.utils._pytree.tree_map_only(torch.Tensor, emptied, arguments),
                              **torch.utils._pytree.tree_map_only(torch.Tensor, emptied, options)))  # fmt: skip
    real = tensors(make().train(training)(*inputs(), **keywords()))
    assert [y.dim() for y in outputs] == [y.dim() for y in real]
    assert all(y.numel() == 0 for y in outputs if y.dim())
    torch.autograd.backward([y.sum() for y in outputs if y.requires_grad])
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or parameter.grad.eq(0).all(), name
