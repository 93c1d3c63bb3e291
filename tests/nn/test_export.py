"""ONNX export of cells, layers and networks without changes to them; torch.export keeps the fused operators."""

import pytest
import torch

from fastladder.models import LadderNetwork, RLadder, rladder_small_digits
from fastladder.models.ladder import Conv, Dense, MaxPool
from fastladder.nn import LSTM, ConvLSTM, FastDropoutRNN
from tests.nn.modules import MODULES, tensors

NETWORKS = {
    "ConvLSTM without a state": (lambda: ConvLSTM(2, 3, 3, norm="layer"), lambda: (torch.rand(3, 2, 2, 5, 5),)),
    "LSTM without a state": (lambda: LSTM(2, 3), lambda: (torch.rand(3, 2, 2),)),
    "FastDropoutRNN without a variance": (lambda: FastDropoutRNN(2, 3), lambda: (torch.rand(3, 2, 2),)),
    "RLadder": (lambda: RLadder(rladder_small_digits(4, 4, 5), (1, 20, 20)), lambda: (torch.rand(2, 3, 1, 20, 20),)),
    "LadderNetwork": (lambda: LadderNetwork(4, (8, 3)), lambda: (torch.rand(3, 4),)),
    "convolutional LadderNetwork": (
        lambda: LadderNetwork((1, 8, 8), (Conv(4, 3), MaxPool(2), Dense(3))),
        lambda: (torch.rand(3, 1, 8, 8),),
    ),
}
CELLS = [
    "LSTMCell",
    "LSTMCell-batch",
    "ConvLSTMCell",
    "ConvGRUCell",
    "ConvLSTM",
    "LSTM",
    "FastDropoutLinear",
    "FastDropoutRNN",
    "G1",
    "ConvG1",
    "ConvG2",
    "ConvG3",
]
EVERY = {name: MODULES[name] for name in CELLS} | NETWORKS


@pytest.fixture(params=EVERY)
def network(request):
    torch.manual_seed(2)
    make, inputs = EVERY[request.param]
    return make().eval(), inputs()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")  # of the exporters, about their versions and constants
@pytest.mark.parametrize("by_torch_export", [True, False])
def test_onnx_computes_the_same(network, by_torch_export, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    module, arguments = network
    path = tmp_path / "network.onnx"
    torch.onnx.export(module, arguments, path, dynamo=by_torch_export, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = zip(session.get_inputs(), tensors(arguments), strict=True)
    results = session.run(None, {entry.name: x.numpy() for entry, x in given})
    for got, expected in zip(results, tensors(module(*arguments)), strict=True):
        torch.testing.assert_close(torch.from_numpy(got), expected.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_onnx_of_any_batch_size(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    torch.manual_seed(2)
    module, batch = RLadder(rladder_small_digits(4, 4, 5), (1, 20, 20)).eval(), torch.export.Dim("batch", min=2)
    path = tmp_path / "network.onnx"
    arguments = (torch.rand(2, 2, 1, 20, 20),)
    torch.onnx.export(module, arguments, path, dynamo=True, dynamic_shapes=({0: batch},), verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    frames = torch.rand(5, 2, 1, 20, 20)
    prediction, *_ = session.run(None, {session.get_inputs()[0].name: frames.numpy()})
    torch.testing.assert_close(torch.from_numpy(prediction), module(frames).prediction.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", ["ConvLSTM", "LSTM", "FastDropoutRNN", "RLadder"])
def test_torch_export_keeps_the_fused_operators(name, strict):
    make, inputs = EVERY[name]
    module, arguments = make().eval(), inputs()
    exported = torch.export.export(module, arguments, strict=strict)
    calls = [node.target for node in exported.graph.nodes if node.op == "call_function"]
    if name == "LSTM":  # two layers in two directions
        assert calls.count(torch.ops.fastladder.lstm_sequence.default) == 4
    elif name == "FastDropoutRNN":
        assert calls.count(torch.ops.fastladder.moments_sequence.default) == 4
    else:
        recurrent = 12 if name == "ConvLSTM" else 9  # three time steps of the same, or of three rows
        assert calls.count(torch.ops.fastladder.lstm_gates.default) == recurrent
    for got, expected in zip(tensors(exported.module()(*arguments)), tensors(module(*arguments)), strict=True):
        torch.testing.assert_close(got, expected)
