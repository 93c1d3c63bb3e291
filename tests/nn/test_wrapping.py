"""Wrappers, hooks, replacements and inspections of submodules work on the modules of fastladder."""

import copy

import pytest
import torch
from torch import nn
from torch.distributed import fsdp, init_device_mesh
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.nn.parallel import DistributedDataParallel

from bench.memory import saved_bytes
from fastladder.models import LadderNetwork, RLadder, rladder_small_digits
from fastladder.nn import G1, LSTM, ConvG1, ConvG3, ConvGRUCell, ConvLSTM, ConvLSTMCell, FastDropoutRNN, LSTMCell
from tests.nn.modules import MODULES, NETWORKS, tensors

X = torch.rand(4, 2, 2, 5, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


def gradients(network, *arguments):
    network.zero_grad()
    outputs = tensors(network(*arguments))
    torch.autograd.backward([y.square().mean() for y in outputs])
    return [None if p.grad is None else p.grad.clone() for p in network.parameters()]


def assert_same(ours, expected):
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a.full_tensor() if hasattr(a, "full_tensor") else a, b)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_hooks_see_every_time_step(bidirectional):
    network = ConvLSTM(2, 3, 3, 2, bidirectional=bidirectional)
    hidden, backward = [], []
    network.l1.register_forward_hook(lambda cell, inputs, output: hidden.append(output[0]))
    network.l0.register_full_backward_hook(lambda cell, *given: backward.append(cell))
    network.l1.preactivation.register_forward_hook(lambda module, inputs, output: backward.append(module))
    output, _ = network(X)
    torch.testing.assert_close(torch.stack(hidden), output[:, :, :3])
    assert backward == [network.l1.preactivation] * 4
    output.sum().backward()
    assert backward[4:] == [network.l0] * 4


def test_a_hook_can_change_what_a_cell_returns():
    network = ConvLSTM(2, 3, 3)
    network.l0.register_forward_hook(lambda cell, inputs, output: (torch.zeros_like(output[0]), output[1]))
    assert network(X)[0].eq(0).all()


def test_checkpointing_of_cells_saves_memory_and_gives_the_same_gradients():
    network = ConvLSTM(2, 8, 3, 2, norm="layer")
    wrapped = copy.deepcopy(network)
    wrapped.l0, wrapped.l1 = checkpoint_wrapper(wrapped.l0), checkpoint_wrapper(wrapped.l1)
    x = torch.rand(6, 2, 2, 12, 12)
    plain, saved = (saved_bytes(lambda x, run=run: list(run(x)[0][None]), [x]) for run in (network, wrapped))
    assert saved < plain / 3
    assert_same(gradients(wrapped, x), gradients(network, x))


def test_a_cell_can_be_compiled_in_place():
    network = ConvLSTM(2, 3, 3)
    expected, graphs = network(X), []
    torch.compiler.reset()
    network.l0.compile(backend=lambda graph, inputs: graphs.append(graph) or graph, fullgraph=True)
    assert_same(tensors(network(X)), tensors(expected))
    assert graphs


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("part", ["l0", "l0.hidden_projection", "l1.preactivation", ""])
@pytest.mark.parametrize("norm", ["none", "layer"])
@pytest.mark.parametrize("dims", [0, 2])
def test_fully_sharded(part, norm, dims):
    network = ConvLSTM(2, 3, 3, 2, norm=norm) if dims else LSTM(2, 3, 2, norm=norm)
    x = X[:1] if dims else X[:, :, :, 0, 0]
    expected = gradients(network, x)
    sharded = copy.deepcopy(network)
    fsdp.fully_shard(sharded.get_submodule(part), mesh=init_device_mesh("cpu", (1,)))
    assert_same(gradients(sharded, x), expected)


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("name", ["LSTMCell", "LSTM", "ConvLSTM", "FastDropoutRNN", "G1", "ConvG2", "ConvG3"])
def test_every_part_fully_sharded_on_its_own(name):
    """Their parameters are freed as soon as each part has run."""
    make, inputs = MODULES[name]
    network, arguments = make(norm="layer") if name == "G1" else make(), inputs()
    expected = gradients(network, *arguments)
    sharded, mesh = copy.deepcopy(network), init_device_mesh("cpu", (1,))
    for part in reversed(list(sharded.modules())):
        if part is sharded or any(True for _ in part.parameters(recurse=False)):
            fsdp.fully_shard(part, mesh=mesh)
    assert_same(gradients(sharded, *arguments), expected)


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize(
    "name",
    ["LSTMCell", "LSTM", "ConvLSTM", "FastDropoutRNN", "G1", "ConvG2", "LadderCombinator", "Tag", "Tagger", "RLadder"],
)
def test_sharded_on_the_meta_device_and_drawn_anew(name):
    make, *_ = (MODULES | NETWORKS)[name]
    network = make(device="meta")
    if name not in ("Tag", "Tagger"):  # a single number cannot be sharded
        fsdp.fully_shard(network, mesh=init_device_mesh("cpu", (1,)))
    network.to_empty(device="cpu")
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 7)
    network.reset_parameters()
    other = make().state_dict()
    for key, value in make().state_dict().items():
        drawn = network.state_dict()[key]
        drawn = drawn.full_tensor() if hasattr(drawn, "full_tensor") else drawn
        if value.equal(other[key]):
            torch.testing.assert_close(drawn, value, msg=lambda text, key=key: f"{key}: {text}")
        else:  # drawn at random
            assert not drawn.eq(7).any(), key


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_levels_of_a_ladder_network_can_be_hooked_and_sharded(norm):
    network = LadderNetwork(4, (8, 3), norm=norm)
    x, seen = torch.rand(5, 4), []
    expected = gradients(network, x)
    sharded = copy.deepcopy(network)
    for level in sharded.encoder:
        fsdp.fully_shard(level, mesh=init_device_mesh("cpu", (1,)))
        level.register_forward_hook(lambda layer, inputs, output: seen.append(output.hidden.shape))
    gradients(sharded, x)
    assert_same([p.grad for p in sharded.encoder.parameters()], [g for g in expected if g is not None])
    assert seen == [(5, 8), (5, 3)]


ONE_STEP = {
    "ConvLSTM": (lambda **o: ConvLSTM(2, 3, 3, 2, bidirectional=True, **o), lambda: (X[:1],)),
    "ConvLSTM-layer": (lambda: ConvLSTM(2, 3, 3, norm="layer"), lambda: (X[:1],)),
    "ConvLSTM-batch": (lambda: ConvLSTM(2, 3, 3, norm="batch", bias=False), lambda: (X[:1],)),
    "LSTM": (lambda: LSTM(2, 3, 2, bidirectional=True), lambda: (X[:1, :, :, 0, 0],)),
    "LSTM-layer": (lambda: LSTM(2, 3, norm="layer", bias=False), lambda: (X[:1, :, :, 0, 0],)),
    "LSTM-batch": (lambda: LSTM(2, 3, norm="batch"), lambda: (X[:1, :, :, 0, 0],)),
    "FastDropoutRNN": (lambda: FastDropoutRNN(2, 3, 2, bidirectional=True), lambda: (X[:1, :, :, 0, 0],)),
    "ConvLSTM without bias": (lambda: ConvLSTM(2, 3, 3, bias=False), lambda: (X[:1],)),
    "ConvLSTMCell": (lambda: ConvLSTMCell(2, 3, 3, feedback_size=2), lambda: (X[0],)),
    "LSTMCell": (lambda: LSTMCell(2, 3), lambda: (X[0, :, :, 0, 0],)),
    "ConvGRUCell": (lambda: ConvGRUCell(2, 3, 3), lambda: (X[0],)),
    "RLadder": (lambda: RLadder(rladder_small_digits(4, 4, 5), (1, 20, 20)), lambda: (torch.rand(2, 1, 1, 20, 20),)),
    "RLadder that classifies": (lambda: RLadder(rladder_small_digits(4, 4, 5), (1, 20, 20), predict=False),
                                lambda: (torch.rand(2, 1, 1, 20, 20),)),
}  # fmt: skip


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("name", ONE_STEP)
def test_a_single_time_step_without_a_state_gives_every_parameter_a_gradient(name):
    make, inputs = ONE_STEP[name]
    network = DistributedDataParallel(make())
    for _ in range(2):  # DDP reports in the second step what it missed in the first
        outputs = network(*inputs())
        outputs = [outputs.prediction, outputs.logits] if name.startswith("RLadder") else tensors(outputs)
        torch.autograd.backward([y.square().mean() for y in outputs if y is not None])
    for parameter, value in network.named_parameters():
        assert value.grad is not None, parameter
        if "hidden_projection" in parameter and name != "ConvGRUCell":
            assert value.grad.eq(0).all(), parameter


def test_a_projection_that_is_not_needed_is_not_called():
    network = swapped(ConvLSTM(2, 3, 3), "l0.hidden_projection")
    called = []
    network.l0.hidden_projection.register_forward_hook(lambda *given: called.append(given))
    network(X[:1])[0].sum().backward()
    assert called == []
    assert all(p.grad.eq(0).all() for p in network.l0.hidden_projection.parameters())


def swapped(module, name):
    """The module with its submodule `name` in a Sequential with a batch normalisation."""
    own = module.get_submodule(name)
    size = own.out_channels if isinstance(own, nn.Conv2d | nn.ConvTranspose2d) else own.out_features
    norm = nn.BatchNorm1d(size) if isinstance(own, nn.Linear) else nn.BatchNorm2d(size)
    module.set_submodule(name, nn.Sequential(own, norm))
    return module


@pytest.mark.parametrize(
    ("make", "name", "inputs"),
    [
        (lambda: LSTMCell(2, 3), "input_projection", lambda: (torch.rand(4, 2),)),
        (lambda: LSTMCell(2, 3), "hidden_projection", lambda: (torch.rand(4, 2),)),
        (lambda: ConvLSTM(2, 3, 3), "l0.hidden_projection", lambda: (X,)),
        (lambda: ConvLSTM(2, 3, 3), "l0.input_projection", lambda: (X,)),
        (lambda: LSTM(2, 3), "l0.hidden_projection", lambda: (X[:, :, :, 0, 0],)),
        (lambda: LSTM(2, 3), "l0.input_projection", lambda: (X[:, :, :, 0, 0],)),
        (lambda: ConvGRUCell(2, 3, 3), "hidden_projection", lambda: (X[0],)),
        (lambda: G1(2, 3), "projection", lambda: (torch.rand(4, 2), torch.rand(4, 3))),
        (lambda: ConvG1(2, 3, 3), "projection", lambda: (X[0], torch.rand(2, 3, 5, 5))),
        (lambda: ConvG1(2, 3, 4, stride=2), "projection", lambda: (X[0], torch.rand(2, 3, 10, 10))),
        (lambda: ConvG3(2, 3, 4, 4, stride=2), "top_projection", lambda: (X[0], torch.rand(2, 3, 10, 10))),
        (lambda: ConvG3(2, 3, 4, 3), "lateral_projection", lambda: (X[0], torch.rand(2, 3, 5, 5))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_projection_can_be_replaced(make, name, inputs):
    network = swapped(make(), name)
    arguments = inputs()
    assert all(g is not None for g in gradients(network, *arguments))
    with torch.no_grad():
        network.get_submodule(name)[1].weight.zero_()
    assert not torch.equal(*(tensors(each.eval()(*arguments))[0] for each in (network, make())))


def test_what_has_replaced_a_projection_is_drawn_anew_too():
    network = swapped(ConvLSTM(2, 3, 3), "l0.input_projection")
    before = network.l0.input_projection[0].weight.detach().clone()
    network.reset_parameters()
    assert not torch.equal(network.l0.input_projection[0].weight, before)


def test_a_replaced_projection_of_another_size_is_named():
    cell = ConvG1(2, 3, 3)
    cell.projection = nn.Sequential(nn.Conv2d(2, 3, 3))
    with pytest.raises(ValueError, match=r"top: its projection has the spatial size \(3, 3\), needs the \(5, 5\)"):
        cell(X[0], torch.rand(2, 3, 5, 5))


@pytest.mark.filterwarnings("ignore:.*quantization.*:DeprecationWarning")
@pytest.mark.parametrize("name", ["LSTMCell", "LSTM", "G1", *NETWORKS])
def test_quantized(name):
    make, inputs, *keywords = (MODULES | NETWORKS)[name]
    options = keywords[0]() if keywords else {}
    network, arguments = make().eval(), inputs()
    expected = tensors(network(*arguments, **options))
    quantized = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
    for a, b in zip(tensors(quantized(*arguments, **options)), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0.1, atol=0.1)  # eight bits


@pytest.mark.parametrize("name", [*MODULES, *NETWORKS])
@pytest.mark.parametrize("bias", [True, False])
def test_torchinfo(name, bias):
    torchinfo = pytest.importorskip("torchinfo")
    make, inputs, *keywords = (MODULES | NETWORKS)[name]
    if not bias and "LSTM" not in name:
        pytest.skip("has no bias to leave out")
    network = make() if bias else make(bias=False)
    summary = torchinfo.summary(network, input_data=list(inputs()), verbose=0, **(keywords[0]() if keywords else {}))
    own = sum(p.numel() for p in network.parameters())
    # It counts modules twice that are called before their parent, or not in the first time step.
    often = name in ("LSTM", "ConvLSTM", "RLadder")
    assert summary.total_params >= own if often else summary.total_params == own


def test_torchinfo_of_a_size():
    torchinfo = pytest.importorskip("torchinfo")
    summary = torchinfo.summary(ConvLSTM(2, 3, 3), input_size=(3, 2, 2, 5, 5), verbose=0)
    assert "ConvLSTMCell: 1-1" in str(summary)
    assert summary.total_output_bytes > 0
