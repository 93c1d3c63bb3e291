"""A full disk ends a command with one line and exit code 2, and costs nothing that was there."""

import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from fastladder.cli import main
from fastladder.experiments import training
from fastladder.experiments.occluded_moving_digits import MovingDigitsTask
from tests.experiments.command import Command


@pytest.fixture(scope="module")
def begun(tiny, tmp_path_factory):
    """A run of one epoch of three."""
    folder = tmp_path_factory.mktemp("begun")
    assert main(["train", *tiny, f"--run={folder}", "--minutes=1e-6"]) == 0
    return folder


@pytest.fixture
def fills_up(monkeypatch, disk_full):
    """A context in which the disk is full from the next step of a training or test on."""

    @contextmanager
    def context(method, size):
        original = getattr(MovingDigitsTask, method)
        with ExitStack() as end, monkeypatch.context() as patch:

            def step(self, batch, index):
                end.enter_context(disk_full(size))
                return original(self, batch, index)

            patch.setattr(MovingDigitsTask, method, step)
            yield

    return context


def one_line(said, code):
    assert code == 2, said
    assert said.startswith("fastladder: ")
    assert said.count("\n") == 1, said
    return said


def kept(files):
    """Those of a run's files that are not logs."""
    return {path: content for path, content in files.items() if "logs" not in path.parts}


def test_a_checkpoint_that_cannot_be_written(begun, tiny, fills_up, snapshot, capsys):
    before = kept(snapshot(begun))
    with fills_up("training_step", 50_000):
        code = main(["train", *tiny, f"--run={begun}", "--resume"])
    said = one_line(capsys.readouterr().err, code)
    assert "best.ckpt: cannot be written (File too large)" in said
    assert f"the last good checkpoint is {begun / 'last.ckpt'}" in said
    assert kept(snapshot(begun)) == before


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")  # a traceback on the screen
@pytest.mark.parametrize("other", [CSVLogger, TensorBoardLogger], ids=["TensorBoard", "CSV"])
def test_a_log_that_cannot_be_written(other, begun, tiny, fills_up, snapshot, capsys, monkeypatch):
    before = kept(snapshot(begun))
    monkeypatch.setattr(other, "log_metrics", lambda *arguments, **options: None)
    monkeypatch.setattr(training.WholeCheckpoints, "save_checkpoint", lambda *arguments: None)
    with fills_up("training_step", 10):
        code = main(["train", *tiny, f"--run={begun}", "--resume"])
    said = one_line(capsys.readouterr().err, code)
    assert f"{begun}: File too large; the last good checkpoint is {begun / 'last.ckpt'}" in said
    assert kept(snapshot(begun)) == before


def test_the_first_checkpoint(tiny, disk_full, tmp_path, capsys):
    with disk_full(50_000):
        code = main(["train", *tiny, f"--run={tmp_path}"])
    said = one_line(capsys.readouterr().err, code)
    assert "last.ckpt: cannot be written (File too large); there is no checkpoint" in said
    assert not list(tmp_path.glob("*.ckpt*"))


@pytest.mark.parametrize(
    "error",
    [ConnectionRefusedError(111, "Connection refused"), OSError("text"), FileNotFoundError(2, "No such file", "x.bin")],
    ids=repr,
)
def test_what_is_not_of_the_disk_keeps_its_traceback(error, tiny, tmp_path, monkeypatch):
    def step(self, batch, index):
        raise error

    monkeypatch.setattr(MovingDigitsTask, "training_step", step)
    with pytest.raises(RuntimeError, match="the training failed") as raised:
        main(["train", *tiny, f"--run={tmp_path}"])
    assert raised.value.__cause__ is error


def test_a_checkpoint_of_several_processes(tiny, tmp_path):
    """The others do not say how they lost the one that writes."""
    script = tmp_path / "train.py"
    processes = ["--trainer.devices=2", "--trainer.strategy=ddp", f"--run={tmp_path / 'run'}"]
    script.write_text(f"""
import resource, sys
from fastladder.cli import main
from fastladder.experiments.occluded_moving_digits import MovingDigitsTask
original = MovingDigitsTask.training_step
def step(self, batch, index):
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    return original(self, batch, index)
MovingDigitsTask.training_step = step
sys.exit(main({["train", *tiny, *processes]}))
""")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("fastladder: ")]
    assert len(said) == 1, done.stderr
    assert "best.ckpt: cannot be written (File too large)" in said[0]
    assert "Traceback" not in done.stderr


def test_an_evaluation(begun, fills_up, snapshot, capsys):
    assert main(["evaluate", f"--run={begun}", "--checkpoint=last"]) == 0
    before = snapshot(begun)
    with fills_up("test_step", 10):
        capsys.readouterr()
        code = main(["evaluate", f"--run={begun}"])
    printed = capsys.readouterr()
    assert "classification error" in printed.out
    said = one_line(printed.err, code)
    assert f"{begun / 'evaluation.json'}: cannot be written" in said
    assert snapshot(begun) == before


def test_a_figure(disk_full, tmp_path, snapshot, capsys):
    path = tmp_path / "figure.png"
    path.write_text("mine")
    with disk_full(10):
        code = main(["figure", "message-passing", f"--output={path}"])
    said = one_line(capsys.readouterr().err, code)
    assert f"{path}: cannot be written" in said
    assert snapshot(tmp_path) == {path: b"mine"}


def test_a_report(disk_full, tmp_path, snapshot, capsys):
    assert Command(tmp_path, "ladder-mnist")("--time-budget=0") == 0
    before = snapshot(tmp_path)
    with disk_full(10):
        code = Command(tmp_path, "ladder-mnist")("--time-budget=0")
    said = one_line(capsys.readouterr().err, code)
    assert f"{tmp_path / 'RESULTS.md'}: cannot be written (File too large), name another file with --report" in said
    assert snapshot(tmp_path) == before
