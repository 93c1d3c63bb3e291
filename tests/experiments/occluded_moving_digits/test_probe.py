"""The probe of Fig. 4: it reads what the network knows, and changes nothing of it."""

import copy
import io
import json

import pytest
import torch
from rich.console import Console

from fastladder import ops
from fastladder.cli import main
from fastladder.experiments.errors import RunError
from fastladder.experiments.occluded_moving_digits import MovingDigitsData
from fastladder.experiments.occluded_moving_digits.probe import Probe, train_probe
from fastladder.models import RLadder, rladder_small_digits


@pytest.fixture
def network():
    torch.manual_seed(0)
    return RLadder(rladder_small_digits(4, 4, 4), (1, 20, 20), steps=5)


@pytest.fixture
def frames():
    return torch.rand(2, 5, 1, 20, 20, generator=torch.Generator().manual_seed(1))


def test_it_reads_the_neurons_that_predict(network, frames):
    probe = Probe(network, kernel_size=1)
    cell = network.decoder["0"]
    channels = []
    for channel in range(cell.hidden_size):
        with torch.no_grad():
            probe.readout.weight.zero_()[0, channel] = 1
            probe.readout.bias.zero_()
            channels.append(probe(frames))
    hidden = torch.cat(channels, 2).flatten(0, 1)
    with torch.no_grad():
        prediction = ops.combine_g3(cell.output_projection(hidden)).unflatten(0, (2, 5))
        torch.testing.assert_close(prediction, network(frames).prediction)


def test_no_gradient_reaches_the_network(network, frames):
    probe = Probe(network)
    probe.train()
    probe(frames).square().sum().backward()
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(parameter.grad.any() for parameter in probe.readout.parameters())
    assert not network.training


def test_training_improves_the_readout_and_leaves_the_network_alone(network):
    data = MovingDigitsData(batch_size=50)
    data.setup("fit")
    probe = Probe(network)
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        untrained = probe.error(data.test[:100]).item()
    error = train_probe(probe, data, 1, Console(file=io.StringIO()))
    assert error < untrained / 2
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_network_that_does_not_predict_is_refused():
    with pytest.raises(RunError, match="does not predict"):
        Probe(RLadder(rladder_small_digits(2, 2, 2), (1, 20, 20), predict=False))


def test_the_command(tiny, tmp_path, capsys):
    run, picture = tmp_path / "run", tmp_path / "figure4.png"
    assert main(["train", *tiny, f"--run={run}", "--trainer.max_epochs=1"]) == 0
    options = [f"--checkpoint={run}", f"--output={picture}", "--epochs=1"]
    assert main(["figure", "rladder-figure4", *options]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    result = json.loads(picture.with_suffix(".json").read_text())
    assert 0 < result["probe_error"] < 1
    assert result["environment"]["seed"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["rladder-figure4", "message-passing"]),
        (["rladder-figure5"], ["rladder-figure5", "rladder-figure4"]),
        (["rladder-figure4", "--checkpoint=nowhere.ckpt"], ["nowhere.ckpt", "no such run or checkpoint"]),
        (["message-passing", "--output=nowhere/figure.png"], ["nowhere/figure.png", "cannot be written"]),
        (["message-passing", "--output=a.xyz"], ["a.xyz", "png"]),
        (["rladder-figure4", "--checkpoint=nowhere", "--output=a.xyz"], ["a.xyz", "png"]),
        (["tagger-figure4", "--checkpoint=nowhere", "--output=nowhere/a.png"], ["nowhere/a.png", "cannot be written"]),
    ],
)
def test_bad_input(arguments, words, capsys):
    """What is wrong with the picture is said before anything is read, trained or drawn."""
    assert main(["figure", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(word in said for word in words)
