"""Input that cannot be used: one clear line on the standard error, exit code 2, and nothing is written over."""

import gzip

import pytest
import torch
from lightning.pytorch import Trainer

from fastladder.cli import main
from fastladder.experiments.occluded_moving_digits import task as occluded_task
from fastladder.experiments.training import read_checkpoint
from fastladder.models import rladder_small_digits


@pytest.fixture
def refused(capsys):
    """Runs a command that must be refused, and returns the one line it says."""

    def run(*arguments, code=2):
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == code
        said = capsys.readouterr().err
        assert said.startswith("fastladder: ")
        assert said.count("\n") == 1, said
        return said

    return run


@pytest.fixture
def never_train(monkeypatch):
    """Ends a test that would train for minutes on what it should have refused."""
    monkeypatch.setattr(Trainer, "fit", lambda *arguments, **options: pytest.fail("the training began"))


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    assert main(["train", *tiny, "--trainer.max_epochs=1", f"--run={folder}"]) == 0
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bogus"], ["'bogus'", "train"]),
        ([], ["COMMAND"]),
        (["train", "--nope=3"], ["--nope"]),
        (["train", "--model.nope=3"], ["--model.nope"]),
        (["train", "--seed=x"], ["seed", "x"]),
        (["train", "--config=absent.yaml"], ["absent.yaml"]),
        (["train", "--model.network=huge"], ["model.network", "huge", "small"]),
        (["train", "--model.widths={width: 3}"], ["width"]),
        (["train", "--model.learning_rate=0"], ["learning_rate", "0"]),
        (["train", "--model.prediction_weight=-1"], ["prediction_weight", "-1"]),
        (["train", "--model.predict=false", "--model.classify=false"], ["predict", "classify"]),
        (["train", "--data.batch_size=0"], ["batch_size", "0"]),
        (["train", "--data.batch_size=100000"], ["batch_size", "100000", "the training set"]),
        (["train", "--data.sequences_per_digit=0"], ["sequences_per_digit", "0"]),
        (["train", "--trainer.max_epochs=-1"], ["max_epochs", "-1"]),
        (["train", "--trainer.limit_val_batches=few"], ["limit_val_batches", "few"]),
        (["train", "--trainer.limit_train_batches=0"], ["limit_train_batches: got 0, needs more than 0"]),
        (["train", "--trainer.limit_val_batches=0"], ["limit_val_batches: got 0, needs more than 0"]),
        (["demo", "--trainer.limit_test_batches=0.0"], ["limit_test_batches: got 0.0, needs more than 0"]),
        (["train", "--trainer.accumulate_grad_batches=0"], ["accumulate_grad_batches: got 0, needs 1 or more"]),
        (["train", "--trainer.precision=transformer-engine"], ["trainer", "transformer_engine"]),
        (["train", "--data.view=reconstruction"], ["predict", "data.view reconstruction"]),
        (["train", "--data.batch_size=1"], ["batch_size: got 1, needs 2 or more"]),
        (["train", "--model.network=table5"], ["widths", "table5", "--model.widths null"]),
        (["train", "--trainer.precision=7"], ["trainer.precision", "7", "32-true"]),
        (["train", "--trainer.accelerator=abacus"], ["trainer", "abacus"]),
        (["train", "--minutes=0"], ["minutes", "0"]),
        (["train", "--resume"], ["last.ckpt"]),
        (["evaluate"], ["runs/train", "no such run"]),
        (["evaluate", "--nope=3"], ["--nope"]),
        (["demo", "--nope=3"], ["--nope"]),
        (["doctor", "--nope"], ["--nope"]),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("never_train")
def test_options(arguments, words, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(*arguments)
    assert all(word in said for word in words), said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "word"),
    [("model: {netwrk: small}", "netwrk"), ("models: {network: small}", "models"), ("model: [", "mine.yaml:1")],
)
@pytest.mark.usefixtures("never_train")
def test_configuration_file(text, word, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(text)
    assert word in refused("train", "--config=mine.yaml", "--run=run")
    assert not (tmp_path / "run").exists()


def test_what_lightning_refuses_when_the_training_begins(tiny, refused, tmp_path):
    said = refused("train", *tiny, "--trainer.limit_train_batches=0.00001", f"--run={tmp_path}")
    assert "limit_train_batches" in said


@pytest.mark.parametrize("command", ["train", "demo"])
def test_a_run_folder_that_cannot_be_written(command, tiny, refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    run = tmp_path / "file" / "run"
    assert str(run) in refused(command, *tiny, f"--run={run}")
    assert (tmp_path / "file").read_text() == "mine"


def test_missing_data_folder(refused, tmp_path):
    folder, run = tmp_path / "absent", tmp_path / "run"
    said = refused("train", "--config=paper", f"--data-dir={folder}", f"--run={run}")
    assert str(folder) in said
    assert "--data-dir" in said
    assert not run.exists()
    assert not folder.exists()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_truncated_idx_file(suffix, refused, tmp_path):
    content = bytes([0, 0, 8, 3, 0, 0, 234, 96, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(1000)
    for other in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "train-labels-idx1-ubyte"):
        (tmp_path / other).write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 0]))
    name = f"train-images-idx3-ubyte{suffix}"
    (tmp_path / name).write_bytes(gzip.compress(content)[:-9] if suffix else content)
    said = refused("train", "--config=paper", f"--data-dir={tmp_path}", f"--run={tmp_path / 'run'}")
    assert f"{name}: " in said
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_written_over(finished, tiny, refused, snapshot):
    before = snapshot(finished)
    said = refused("train", *tiny, f"--run={finished}")
    assert "--resume" in said
    assert snapshot(finished) == before


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--seed=1", "seed"),
        ("--model.learning_rate=0.5", "model.learning_rate"),
        ("--model.widths={low: 8, high: 4, units: 4}", "model.widths"),
        ("--data.batch_size=20", "data.batch_size"),
        ("--trainer.max_epochs=7", "trainer.max_epochs"),
    ],
)
@pytest.mark.parametrize("command", ["train", "demo"])
def test_a_checkpoint_of_another_configuration(command, option, name, finished, tiny, refused, snapshot):
    before = snapshot(finished)
    said = refused(command, *tiny, "--trainer.max_epochs=1", option, f"--run={finished}", "--resume")
    assert "another configuration" in said
    assert name in said
    assert snapshot(finished) == before


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "code", "other"])
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_checkpoint_that_is_none(command, kind, finished, tiny, refused, snapshot, tmp_path):
    path = tmp_path / "last.ckpt"
    content = (finished / "last.ckpt").read_bytes()
    if kind == "code":
        torch.save({"fastladder": Trap()}, path)
    elif kind == "other":
        torch.save({"state_dict": {}}, path)
    else:
        path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"weights"}[kind])
    before = snapshot(tmp_path)
    resume = [*tiny, "--trainer.max_epochs=1", "--resume"]
    said = refused(command, *(resume if command == "train" else ["--checkpoint=last"]), f"--run={tmp_path}")
    assert str(path) in said
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_checkpoint_of_a_version_with_another_network(command, finished, tiny, refused, snapshot, monkeypatch):
    changed = lambda **widths: rladder_small_digits(**{**widths, "units": 5})  # noqa: E731
    monkeypatch.setitem(occluded_task.NETWORKS, "small", changed)
    before = snapshot(finished)
    resume = [*tiny, "--trainer.max_epochs=1", "--resume"]
    said = refused(command, *(resume if command == "train" else ["--checkpoint=last"]), f"--run={finished}")
    assert "another network" in said
    assert snapshot(finished) == before


class Trap:
    """Would be built by a reader of pickles that trusts them."""

    def __reduce__(self):
        return pytest.fail, ("the checkpoint's code was run",)


def test_a_nan_cost_names_the_step_and_the_last_good_checkpoint(tiny, refused, tmp_path):
    said = refused("train", *tiny, "--model.learning_rate=1e30", f"--run={tmp_path}", code=1)
    assert "step 2 (epoch 1)" in said
    assert "nan" in said or "inf" in said
    assert str(tmp_path / "last.ckpt") in said
    state = read_checkpoint(tmp_path / "last.ckpt")["state_dict"]
    assert all(value.isfinite().all() for value in state.values())


def test_a_nan_in_validation_is_not_checkpointed(tiny, refused, tmp_path):
    """The last step of an epoch can spoil the weights after its cost was found good."""
    one_step = "--trainer.limit_train_batches=1"
    said = refused("train", *tiny, "--model.learning_rate=1e30", one_step, f"--run={tmp_path}", code=1)
    assert "valid" in said
    state = read_checkpoint(tmp_path / "last.ckpt")["state_dict"]
    assert all(value.isfinite().all() for value in state.values())
