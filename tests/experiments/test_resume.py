"""A run that was stopped, wherever that was, goes on to the same numbers as one that was not, bit for bit."""

import signal
import subprocess
import sys
import time

import pytest
import torch

from fastladder.cli import main
from fastladder.experiments.callbacks import RECORD
from tests.experiments.interruption import interrupt_at

TIMES = ("seconds",)


def numbers(folder, name="last.ckpt"):
    """All that a checkpoint says of a run, but for how long things took and where they lie."""
    checkpoint = torch.load(folder / name, weights_only=True)
    history = [{k: v for k, v in epoch.items() if k not in TIMES} for epoch in checkpoint[RECORD]["history"]]
    keys = ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers")
    return {**{key: checkpoint[key] for key in keys}, "history": history}


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


@pytest.fixture(scope="module")
def unbroken(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    assert main(["train", *tiny, f"--run={folder}"]) == 0
    return folder


@pytest.mark.parametrize(
    ("method", "call", "finished"),
    [
        pytest.param("training_step", 2, 0, id="in the first epoch"),
        pytest.param("training_step", 4, 1, id="at the start of the second epoch"),
        pytest.param("training_step", 5, 1, id="in the middle of the second epoch"),
        pytest.param("validation_step", 2, 1, id="in the second validation"),
        pytest.param("validation_step", 3, 2, id="in the last validation"),
    ],
)
def test_an_interrupted_run_resumes_to_the_same_numbers(
    method, call, finished, unbroken, tiny, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        interrupt_at(patch, method, call)
        assert main(["train", *tiny, f"--run={tmp_path}"]) == 130
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--resume" in said
    assert str(tmp_path / "last.ckpt") in said
    assert len(numbers(tmp_path)["history"]) == finished
    assert main(["train", *tiny, f"--run={tmp_path}", "--resume"]) == 0
    assert_same(numbers(tmp_path), numbers(unbroken))
    assert_same(numbers(tmp_path, "best.ckpt"), numbers(unbroken, "best.ckpt"))


def test_a_run_that_ran_out_of_time_resumes_to_the_same_numbers(unbroken, tiny, tmp_path, capsys):
    assert main(["train", *tiny, f"--run={tmp_path}", "--minutes=1e-6"]) == 0
    assert "1 of 3 epochs" in capsys.readouterr().out
    assert len(numbers(tmp_path)["history"]) == 1
    assert main(["train", *tiny, f"--run={tmp_path}", "--resume"]) == 0
    assert_same(numbers(tmp_path), numbers(unbroken))


def test_the_best_checkpoint_survives_a_move(tiny, tmp_path):
    """The run gets worse after its first epoch."""
    options = [*tiny, "--model.schedule=[0.005,0.5,0.5]"]
    assert main(["train", *options, f"--run={tmp_path / 'a'}", "--minutes=1e-6"]) == 0
    best = (tmp_path / "a" / "best.ckpt").read_bytes()
    (tmp_path / "a").rename(tmp_path / "b")
    assert main(["train", *options, f"--run={tmp_path / 'b'}", "--resume"]) == 0
    first, *later = (epoch["valid/cost"] for epoch in numbers(tmp_path / "b")["history"])
    assert min(later) > first
    assert (tmp_path / "b" / "best.ckpt").read_bytes() == best


def test_a_run_from_before_resumes_although_an_option_is_gone(tiny, tmp_path):
    options = ["train", *tiny, "--trainer.max_epochs=1", f"--run={tmp_path}"]
    assert main(options) == 0
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    checkpoint[RECORD]["configuration"]["trainer"]["log_every_n_steps"] = 50
    del checkpoint[RECORD]["experiment"]
    for name in ("best.ckpt", "last.ckpt"):
        torch.save(checkpoint, tmp_path / name)
    assert main(["evaluate", f"--run={tmp_path}"]) == 0
    assert main([*options, "--resume"]) == 0


def test_resuming_a_finished_run_changes_nothing(unbroken, tiny):
    before = numbers(unbroken)
    assert main(["train", *tiny, f"--run={unbroken}", "--resume"]) == 0
    assert_same(numbers(unbroken), before)


def test_every_epoch_is_new_and_the_seed_decides_it(unbroken, tiny, tmp_path):
    costs = [epoch["train/copy_last"] for epoch in numbers(unbroken)["history"]]
    assert len(set(costs)) == len(costs)
    assert main(["train", *tiny, f"--run={tmp_path}", "--seed=1", "--trainer.max_epochs=1"]) == 0
    (other,) = numbers(tmp_path)["history"]
    assert other["train/copy_last"] != costs[0]
    assert other["valid/copy_last"] == numbers(unbroken)["history"][0]["valid/copy_last"]


def test_ctrl_c_from_outside(unbroken, tiny, tmp_path):
    command = [sys.executable, "-c", "from fastladder.cli import main; raise SystemExit(main())"]
    # Long epochs, so that the signal comes in the middle of one.
    options = [*tiny, "--trainer.limit_train_batches=100", f"--run={tmp_path}"]
    process = subprocess.Popen([*command, "train", *options], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (tmp_path / "last.ckpt").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "interrupted" in said.splitlines()[-1]
    assert "--resume" in said.splitlines()[-1]
    assert "Traceback" not in said
    numbers(tmp_path)


def test_a_run_that_was_killed_while_it_wrote_resumes_to_the_same_numbers(unbroken, tiny, tmp_path):
    """The best checkpoint is of the second epoch already, the last one still of the first."""
    killed = f"""
import os, signal
from fastladder.cli import main
replace, calls = os.replace, []
def killing(*names):
    calls.append(names)
    if len(calls) == 6:  # the configuration, the start, and two checkpoints an epoch
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)
os.replace = killing
main({["train", *tiny, f"--run={tmp_path}"]})
"""
    done = subprocess.run([sys.executable, "-c", killed], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (len(numbers(tmp_path)["history"]), len(numbers(tmp_path, "best.ckpt")["history"])) == (1, 2)
    assert list(tmp_path.glob(".last.ckpt.*.partial"))
    assert main(["train", *tiny, f"--run={tmp_path}", "--resume"]) == 0
    assert_same(numbers(tmp_path), numbers(unbroken))
    assert_same(numbers(tmp_path, "best.ckpt"), numbers(unbroken, "best.ckpt"))
