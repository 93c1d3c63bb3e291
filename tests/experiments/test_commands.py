import csv
import json
import shutil

import pytest
import torch
import yaml

from fastladder.cli import main
from fastladder.data import Digits, Splits
from fastladder.experiments import load, reproduce
from fastladder.experiments.callbacks import RECORD
from fastladder.experiments.configuration import make_parser, parse
from fastladder.experiments.occluded_moving_digits import costs_and_scores
from fastladder.experiments.occluded_moving_digits import data as occluded_data
from fastladder.experiments.occluded_moving_digits.experiment import MOVING_DIGITS
from fastladder.experiments.training import read_checkpoint
from fastladder.models import RLadder


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    assert main(["train", *tiny, f"--run={folder}"]) == 0
    return folder


@pytest.fixture
def evaluated(trained, capsys):
    def evaluate(*options):
        assert main(["evaluate", f"--run={trained}", *options]) == 0
        return json.loads((trained / "evaluation.json").read_text()), capsys.readouterr().out

    return evaluate


def test_loggers(trained):
    logs = trained / "logs" / "version_0"
    with (logs / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    history = read_checkpoint(trained / "last.ckpt")[RECORD]["history"]
    logged = [float(row["valid/cost"]) for row in rows if row["valid/cost"]]
    assert logged == pytest.approx([epoch["valid/cost"] for epoch in history])
    assert list(logs.glob("events.out.tfevents.*"))


def test_a_checkpoint_says_what_the_run_is(trained):
    record = read_checkpoint(trained / "best.ckpt")[RECORD]
    described = {"experiment": record["experiment"], **record["configuration"]}
    assert described == yaml.safe_load((trained / "config.yaml").read_text())
    assert record["experiment"] == "occluded_moving_digits"
    assert record["environment"]["seed"] == record["configuration"]["seed"] == 0
    assert record["environment"]["versions"]["torch"] == torch.__version__
    history = read_checkpoint(trained / "last.ckpt")[RECORD]["history"]
    assert [(epoch["epoch"], epoch["step"], epoch["examples"]) for epoch in history] == [
        (1, 3, 30),
        (2, 6, 30),
        (3, 9, 30),
    ]
    assert all(epoch["seconds"] > 0 for epoch in history)


def test_the_best_checkpoint_is_the_best(trained):
    history = read_checkpoint(trained / "last.ckpt")[RECORD]["history"]
    best = min(history, key=lambda epoch: epoch["valid/cost"])
    assert read_checkpoint(trained / "best.ckpt")["global_step"] == best["step"]


def test_evaluate(trained, evaluated):
    """What the command prints and stores is what the network gives."""
    result, printed = evaluated("--checkpoint=last")
    checkpoint = read_checkpoint(trained / "last.ckpt")
    task, data = MOVING_DIGITS.build(checkpoint[RECORD]["configuration"])
    task.load_state_dict(checkpoint["state_dict"])
    data.setup("test")
    batch = data.test[:20]  # two batches of ten, as limited
    with torch.no_grad():
        output = task.network.eval()(batch.observed)
    expected = {
        name: value.item()
        for name, value in costs_and_scores(output.logits, output.prediction, batch, task.prediction_weight).items()
    }
    assert result["test"] == pytest.approx(expected, rel=1e-4)
    assert (result["checkpoint"], result["epoch"]) == ("last.ckpt", 3)
    assert result["configuration"] == checkpoint[RECORD]["configuration"]
    assert f"{result['test']['next_frame_error']:.4g}" in printed
    assert "copying the last frame" in printed


def test_evaluate_takes_the_best_checkpoint_or_a_path(evaluated, trained):
    assert evaluated()[0]["checkpoint"] == "best.ckpt"
    assert evaluated(f"--checkpoint={trained / 'last.ckpt'}")[0]["checkpoint"] == "last.ckpt"


def test_scores_are_stored_beside_the_checkpoint_that_was_evaluated(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(trained / "best.ckpt", tmp_path / "elsewhere" / "mine.ckpt")
    for arguments in ([f"--checkpoint={tmp_path / 'elsewhere' / 'mine.ckpt'}"], ["--run=elsewhere/mine.ckpt"]):
        assert main(["evaluate", *arguments]) == 0
        stored = tmp_path / "elsewhere" / "evaluation.json"
        assert json.loads(stored.read_text())["checkpoint"] == "mine.ckpt"
        stored.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_a_tilde_is_the_home_folder(tiny, tmp_path, monkeypatch):
    """Of --run=~/x no shell makes a folder; nor of a file's ~/x."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    quick = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--trainer.limit_test_batches=1"]
    assert main(["train", *tiny, *quick, "--run=~/x"]) == 0
    assert {path.name for path in (home / "x").iterdir()} == {"config.yaml", "best.ckpt", "last.ckpt", "logs"}
    assert main(["evaluate", "--checkpoint=~/x/last.ckpt"]) == 0
    assert (home / "x" / "evaluation.json").exists()
    assert isinstance(load("~/x"), RLadder)
    assert not list(here.iterdir())
    options = parse(reproduce.make_parser(), ["rladder-table1", "--runs=~/a", "--results=~/b", "--report=~/c"])
    assert (options.runs, options.results, options.report) == (f"{home}/a", f"{home}/b", f"{home}/c")


def test_the_stored_configuration_can_be_trained_again(trained, tmp_path):
    again = ["train", f"--config={trained / 'config.yaml'}", f"--run={tmp_path}"]
    assert main(again) == 0
    states = [read_checkpoint(folder / "last.ckpt")["state_dict"] for folder in (trained, tmp_path)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("switch", "absent"),
    [("predict", "train/next_frame_error"), ("classify", "train/cross_entropy"), ("decoder", "train/predict_zero")],
)
def test_tasks_and_decoder_can_be_switched_off(switch, absent, tiny, tmp_path):
    options = [*tiny, "--trainer.max_epochs=1", "--trainer.limit_train_batches=1", f"--model.{switch}=false"]
    assert main(["train", *options, f"--run={tmp_path}"]) == 0
    (epoch,) = read_checkpoint(tmp_path / "last.ckpt")[RECORD]["history"]
    assert absent not in epoch
    assert "train/cost" in epoch


@pytest.mark.parametrize("from_file", [False, True])
def test_one_batch_is_not_all_batches(from_file, tmp_path):
    limits = {"limit_train_batches": 1, "limit_val_batches": 1.0, "limit_test_batches": 0.5}
    options = [f"--trainer.{name}={value}" for name, value in limits.items()]
    if from_file:
        (tmp_path / "limits.yaml").write_text(yaml.safe_dump({"trainer": limits}))
        options = [f"--config={tmp_path / 'limits.yaml'}"]
    parsed = parse(make_parser("train", "", MOVING_DIGITS), options).trainer
    assert [(type(parsed[name]), parsed[name]) for name in limits] == [(int, 1), (float, 1.0), (float, 0.5)]


def test_precision_is_lightnings_option(tiny, tmp_path):
    options = [*tiny, "--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--trainer.precision=bf16-mixed"]
    assert main(["train", *options, f"--run={tmp_path}"]) == 0


def test_the_papers_configuration(tiny, tmp_path, monkeypatch):
    """MNIST is halved to 14 x 14 and moves on 32 x 32; here noise stands in for it, and a small network for Table 5."""
    generator = torch.Generator().manual_seed(0)
    noise = Digits(torch.rand(20, 28, 28, generator=generator), torch.arange(20) % 10, "noise")
    asked = []

    def read(folder, *, download):
        asked.append((str(folder), download))
        return Splits(noise, noise, noise)

    monkeypatch.setattr(occluded_data, "mnist_splits", read)
    options = ["--config=paper", "--model.network=small", *tiny, "--trainer.max_epochs=1", "--data-dir=here"]
    assert main(["train", *options, f"--run={tmp_path}"]) == 0
    assert asked == [("here", False)]
    network = MOVING_DIGITS.build(read_checkpoint(tmp_path / "last.ckpt")[RECORD]["configuration"])[0].network
    assert network.input_shape == (1, 32, 32)
