"""`fastladder demo rtagger` in miniature."""

import json

import pytest
import torch

from fastladder.cli import main
from fastladder.experiments import load
from fastladder.experiments.shapes import demo
from fastladder.models import RTagger


@pytest.fixture
def _small(monkeypatch):
    """One epoch of two steps on few images."""
    original = demo.configuration_of

    def configuration_of(options):
        configuration = original(options)
        configuration["data"] |= {"sizes": [20, 5, 10], "batch_size": 5}
        configuration["model"] |= {"low": 3, "high": 4, "units": 5}
        configuration["trainer"] |= {"limit_train_batches": 2, "accelerator": "cpu"}
        return configuration

    monkeypatch.setattr(demo, "configuration_of", configuration_of)


@pytest.mark.usefixtures("_small")
def test_it_trains_evaluates_and_draws(tmp_path, capsys):
    options = ["demo", "rtagger", f"--run={tmp_path}"]
    assert main([*options, "--epochs=2", "--minutes=1e-6"]) == 0
    assert main([*options, "--epochs=2", "--resume"]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["epochs"] == 2
    assert {"ami_1", "ami_5", "cost_5"} <= result["test"].keys()
    assert (tmp_path / "groups.png").read_bytes().startswith(b"\x89PNG")
    shown = capsys.readouterr().out
    assert "20 images of three shapes" in shown
    assert "AMI, iteration 5" in shown
    network = load(tmp_path)
    assert isinstance(network, RTagger)
    assert network(torch.zeros(1, 20, 20)).masks[-1].shape == (1, 4, 20, 20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "demo: got 'nothing', needs one of rladder, rtagger"),
        (["rtagger", "--epochs=0"], "epochs: got 0, needs 1 or more"),
        (["rtagger", "--minutes=0"], "minutes: got 0.0, needs a number above 0"),
        (["rtagger", "--nope"], "--nope"),
    ],
)
def test_wrong_options_are_named(arguments, message, tmp_path, capsys):
    run = [f"--run={tmp_path}"] if arguments[0] == "rtagger" else []
    assert main(["demo", *arguments, *run]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
